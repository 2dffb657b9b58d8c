//! What was compiled, kept: nothing is compiled twice, and nothing runs that was not compiled here.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use domicile_sandbox::{ArtefactCache, Compiler, ErrorKind, Plugin, Sandbox, SandboxError, SandboxLimits};
use tempfile::TempDir;

use crate::guest::{VERSION, component, limited, load, sandbox, try_load};

fn with_cache(program: &str, cache: ArtefactCache, limits: SandboxLimits) -> Sandbox {
    let compiler = Compiler::Process { program: PathBuf::from(program), args: Vec::new(), cache: Some(cache) };
    Sandbox::new(limits, compiler).unwrap()
}

fn compiling_within(cache: ArtefactCache) -> Sandbox {
    with_cache(env!("CARGO_BIN_EXE_domicile-compile"), cache, SandboxLimits::default())
}

/// A sandbox that compiles what its cache lacks.
fn compiling(dir: &Path) -> Sandbox {
    compiling_within(ArtefactCache::new(dir.to_owned()))
}

/// A sandbox that can compile nothing.
fn idle(dir: &Path) -> Sandbox {
    with_cache("/nowhere/to/be/found", ArtefactCache::new(dir.to_owned()), SandboxLimits::default())
}

/// The files that are kept, the key aside, by name.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.file_name().unwrap() != "key").collect();
    files.sort();
    files
}

/// The file of the one plugin that is kept.
fn only_file(dir: &Path) -> PathBuf {
    let files = files(dir);
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[track_caller]
fn check_prices(pricing: &Arc<Plugin>) {
    let prices: ArrayRef = Arc::new(Float64Array::from(vec![200.0]));
    let discounts: ArrayRef = Arc::new(Float64Array::from(vec![0.25]));
    let expect: ArrayRef = Arc::new(Float64Array::from(vec![150.0]));
    assert_eq!(&pricing.functions().unwrap().call(0, &[prices, discounts], 1).unwrap(), &expect);
}

#[track_caller]
fn check_compiled_again(sandbox: &Sandbox, name: &str) {
    let error = try_load(sandbox, name).expect_err("what was kept is used");
    assert!(matches!(error, SandboxError::CompileFailed { .. }), "{error}");
}

#[test]
fn a_plugin_is_compiled_once() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path().join("made").join("compiled");
    let first = compiling(&dir);
    check_prices(&load(&first, "pricing"));
    load(&first, "latest").merge().unwrap();
    let written = |path: &PathBuf| fs::metadata(path).unwrap().ino();
    let before: Vec<_> = files(&dir).iter().map(written).collect();
    assert_eq!(before.len(), 2);
    let second = idle(&dir);
    check_prices(&load(&second, "pricing"));
    load(&second, "latest").merge().unwrap();
    check_compiled_again(&second, "rfm");
    let after: Vec<_> = files(&dir).iter().map(written).collect();
    assert_eq!(before, after);
}

#[test]
fn what_is_kept_is_for_its_owner_only() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path().join("compiled");
    load(&compiling(&dir), "latest");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!((mode(&dir.join("key")), mode(&only_file(&dir))), (0o600, 0o600));
    let key = fs::read(dir.join("key")).unwrap();
    assert_eq!(key.len(), 32);
    let other = TempDir::new().unwrap();
    load(&compiling(other.path()), "latest");
    assert_ne!(fs::read(other.path().join("key")).unwrap(), key);
}

#[test]
fn no_changed_byte_is_run() {
    let dir = TempDir::new().unwrap();
    check_prices(&load(&compiling(dir.path()), "pricing"));
    let file = only_file(dir.path());
    let kept = fs::read(&file).unwrap();
    let idle = idle(dir.path());
    let (start, end) = (0..64, kept.len() - 64..kept.len());
    for place in start.chain((64..kept.len() - 64).step_by(kept.len() / 61)).chain(end) {
        let mut changed = kept.clone();
        changed[place] ^= 1 << (place % 8);
        fs::write(&file, changed).unwrap();
        check_compiled_again(&idle, "pricing");
    }
    let longer = [kept.as_slice(), &[0]].concat();
    for other in [&[], &kept[..1], &kept[..31], &kept[..32], &kept[..kept.len() - 1], &kept[1..], &longer] {
        fs::write(&file, other).unwrap();
        check_compiled_again(&idle, "pricing");
    }
    fs::write(&file, &kept).unwrap();
    check_prices(&load(&idle, "pricing"));
}

#[test]
fn what_is_damaged_is_replaced() {
    let dir = TempDir::new().unwrap();
    let compiling = compiling(dir.path());
    load(&compiling, "pricing");
    let file = only_file(dir.path());
    let kept = fs::read(&file).unwrap();
    fs::write(&file, &kept[..kept.len() / 2]).unwrap();
    check_prices(&load(&compiling, "pricing"));
    check_prices(&load(&idle(dir.path()), "pricing"));
}

#[test]
fn a_file_counts_for_its_own_plugin_only() {
    let dir = TempDir::new().unwrap();
    let compiling = compiling(dir.path());
    load(&compiling, "pricing");
    let pricing = only_file(dir.path());
    load(&compiling, "quantile_sketch");
    let other = files(dir.path()).into_iter().find(|file| *file != pricing).unwrap();
    let between = dir.path().join("between");
    for (from, to) in [(&pricing, &between), (&other, &pricing), (&between, &other)] {
        fs::rename(from, to).unwrap();
    }
    for name in ["pricing", "quantile_sketch"] {
        check_compiled_again(&idle(dir.path()), name);
    }
    check_prices(&load(&compiling, "pricing"));
}

#[test]
fn another_key_makes_all_of_it_worthless() {
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    load(&compiling(here.path()), "pricing");
    load(&compiling(there.path()), "pricing");
    fs::copy(only_file(there.path()), only_file(here.path())).unwrap();
    check_compiled_again(&idle(here.path()), "pricing");
    fs::copy(there.path().join("key"), here.path().join("key")).unwrap();
    check_prices(&load(&idle(here.path()), "pricing"));
    // A key that is gone, or damaged, is replaced by another.
    for damage in [None, Some(&[7; 31][..])] {
        let key = here.path().join("key");
        damage.map_or_else(|| fs::remove_file(&key), |bytes| fs::write(&key, bytes)).unwrap();
        check_compiled_again(&idle(here.path()), "pricing");
        check_prices(&load(&compiling(here.path()), "pricing"));
        check_prices(&load(&idle(here.path()), "pricing"));
    }
}

#[test]
fn narrower_limits_hold_for_what_was_kept() {
    let dir = TempDir::new().unwrap();
    let cache = || ArtefactCache::new(dir.path().to_owned());
    load(&compiling(dir.path()), "pricing");
    let limits = SandboxLimits { memory_bytes_max: 1 << 16, ..SandboxLimits::default() };
    let narrow = with_cache(env!("CARGO_BIN_EXE_domicile-compile"), cache(), limits.clone());
    let refused = try_load(&narrow, "pricing").expect_err("it has less memory than it starts with");
    let at_once = try_load(&limited(limits), "pricing").expect_err("it has less memory than it starts with");
    assert_eq!(refused.to_string(), at_once.to_string());
    check_prices(&load(&idle(dir.path()), "pricing"));
}

#[test]
fn a_cache_that_cannot_be_used_stops_nothing() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "no directory").unwrap();
    check_prices(&load(&compiling(&file), "pricing"));
    check_prices(&load(&compiling(&file.join("below")), "pricing"));
    let keyless = dir.path().join("keyless");
    fs::create_dir_all(keyless.join("key")).unwrap();
    check_prices(&load(&compiling(&keyless), "pricing"));
    assert_eq!(files(&keyless), [] as [PathBuf; 0]);
    let blocked = dir.path().join("blocked");
    load(&compiling(&blocked), "pricing");
    let file = only_file(&blocked);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    check_prices(&load(&compiling(&blocked), "pricing"));
}

#[test]
fn what_was_written_first_makes_room() {
    let names = ["pricing", "quantile_sketch", "rfm"];
    let bytes_of = |name: &str| {
        let dir = TempDir::new().unwrap();
        load(&compiling(dir.path()), name);
        fs::metadata(only_file(dir.path())).unwrap().len()
    };
    let bytes = names.map(bytes_of);
    let dir = TempDir::new().unwrap();
    let within = |bytes_max| compiling_within(ArtefactCache { dir: dir.path().to_owned(), bytes_max });
    // Room for any two of the three.
    let bytes_max = bytes.iter().sum::<u64>() - bytes.iter().min().unwrap();
    for name in names {
        load(&within(bytes_max), name);
        let used: u64 = files(dir.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(used <= bytes_max, "{used}");
    }
    check_compiled_again(&idle(dir.path()), "pricing");
    load(&idle(dir.path()), "quantile_sketch");
    load(&idle(dir.path()), "rfm");
    // What has no room alone is not kept, and takes none away.
    load(&within(bytes[0] - 1), "pricing");
    assert_eq!(files(dir.path()).len(), 2);
    // A file that was never finished counts like any other, and goes like any other.
    fs::write(dir.path().join("torn.partial"), [0; 64]).unwrap();
    load(&within(bytes[0]), "pricing");
    check_prices(&load(&idle(dir.path()), "pricing"));
    only_file(dir.path());
}

#[test]
fn compiled_code_is_no_component() {
    let dir = TempDir::new().unwrap();
    load(&compiling(dir.path()), "pricing");
    let kept = fs::read(only_file(dir.path())).unwrap();
    let artefact = &kept[..kept.len() - 32];
    assert!(artefact.starts_with(b"\x7fELF"));
    for sandbox in [sandbox(), compiling(dir.path())] {
        for bytes in [artefact, &kept] {
            let error = sandbox.load("pricing".parse().unwrap(), VERSION, bytes).expect_err("compiled code is loaded");
            assert_eq!(error.kind(), ErrorKind::Plugin);
            let expect = "plugin `pricing` 1.2.3 is not a WebAssembly component that can run here: ";
            assert!(error.to_string().starts_with(expect), "{error}");
        }
        // Nor is a component that carries it.
        let both = [component("pricing").as_slice(), artefact].concat();
        assert!(sandbox.load("pricing".parse().unwrap(), VERSION, &both).is_err());
    }
}
