;; One text column; the first version wins.
(module
  (memory (export "memory") 1)
  (data (i32.const 16) "name")
  ;; describe: one field, its name at 16, of kind text.
  (data (i32.const 32) "\28\00\00\00\01\00\00\00")
  (data (i32.const 40) "\10\00\00\00\04\00\00\00\02\00\00\00")
  ;; resolve: ok, with the list written to 72 and 76.
  (data (i32.const 64) "\00")
  (global $next (mut i32) (i32.const 1024))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "domicile:plugin/merge@1.1.0#describe") (result i32) (i32.const 32))
  (func (export "domicile:plugin/merge@1.1.0#resolve") (param $versions i32) (param $count i32) (result i32)
    ;; A version: written-at, the origin, then its values at 16 and how many at 20.
    (i32.store (i32.const 68) (i32.load offset=16 (local.get $versions)))
    (i32.store (i32.const 72) (i32.load offset=20 (local.get $versions)))
    (i32.const 64)))
