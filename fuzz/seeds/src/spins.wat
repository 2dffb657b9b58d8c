;; It never says what it is.
(module
  (memory (export "memory") 1)
  (data (i32.const 65528) "\00\00\ff\ff\ff\ff\ff\0f")
  (global $next (mut i32) (i32.const 1024))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "domicile:plugin/merge@1.1.0#describe") (result i32)
    (loop $again (br $again)) (unreachable))
  (func (export "domicile:plugin/merge@1.1.0#resolve") (param i32 i32) (result i32) (unreachable)))
