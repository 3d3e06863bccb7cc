//! Mutants: the scripts of `tests/simulation/invariants` find each defect of a table.
//!
//! One test checks that the table fits the sources. The other applies each defect to a copy of the
//! sources, and runs the scripts. It takes minutes, so it is ignored:
//!
//!     cargo test --test mutants -- --ignored --nocapture
//!
//! With the beginning of a description in `HALVES_MUTANT`, it tries these mutants only.

mod table;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use table::{MUTANTS, Mutant};

/// The seeds within which each mutant is found.
const SEEDS: u64 = 1000;
/// The environment variable with the beginning of a description.
const MUTANT_VARIABLE: &str = "HALVES_MUTANT";
/// The files and folders that a build of the scripts needs.
const COPIED: &[&str] = &[
    "README.md",
    "docs",
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "tests",
    "examples",
    "bench",
];

#[test]
fn the_text_of_each_mutant_occurs_once_in_its_file() {
    for mutant in MUTANTS {
        let text = fs::read_to_string(root().join(mutant.file)).expect(mutant.file);
        let count = text.matches(mutant.old).count();
        assert_eq!(count, 1, "{}: {:?}", mutant.file, mutant.old);
    }
}

#[test]
fn mutants_differ() {
    for (n, one) in MUTANTS.iter().enumerate() {
        assert_ne!(one.old, one.new, "{}", one.defect);
        for other in &MUTANTS[..n] {
            assert_ne!(one.defect, other.defect);
            let change = |mutant: &Mutant| (mutant.file, mutant.old, mutant.new);
            assert_ne!(change(one), change(other), "{}", one.defect);
        }
    }
}

/// A copy of the sources, removed when it is dropped. The target folder is outside, and stays.
struct Copy(PathBuf);

#[test]
#[ignore = "builds the library once for each mutant: minutes"]
#[allow(clippy::print_stderr, reason = "the report of a long run")]
fn the_scripts_find_each_mutant() {
    let copy = Copy::new();
    assert_eq!(copy.first_seed(), Ok(None), "the sources have no defect");
    let only = env::var(MUTANT_VARIABLE).unwrap_or_default();
    let mut missed = Vec::new();
    let chosen = MUTANTS
        .iter()
        .filter(|mutant| mutant.defect.starts_with(&only));
    for mutant in chosen {
        let defect = mutant.defect;
        match copy.with(mutant) {
            Ok(Some(seed)) => eprintln!("found by seed {seed}: {defect}"),
            Ok(None) => {
                eprintln!("NOT FOUND: {defect}");
                missed.push(defect);
            }
            Err(problem) => panic!("{defect}: {problem}"),
        }
    }
    assert!(
        missed.is_empty(),
        "not found within {SEEDS} seeds: {missed:#?}"
    );
}

impl Copy {
    fn new() -> Self {
        let folder = env::temp_dir().join(format!("halves-mutants-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the copy");
        let copy = Self(folder);
        for name in COPIED {
            copy_all(&root().join(name), &copy.0.join(name));
        }
        copy
    }

    /// Applies a mutant, and returns the first seed that finds it.
    fn with(&self, mutant: &Mutant) -> Result<Option<u64>, String> {
        let path = self.0.join(mutant.file);
        let text = fs::read_to_string(&path).expect(mutant.file);
        fs::write(&path, text.replacen(mutant.old, mutant.new, 1)).expect(mutant.file);
        let found = self.first_seed();
        fs::write(&path, text).expect(mutant.file);
        found
    }

    /// Runs the scripts, and returns the first seed that fails. An error is that of the build.
    fn first_seed(&self) -> Result<Option<u64>, String> {
        let built = self.test(&["--no-run"]);
        if !built.0 {
            return Err(built.1);
        }
        let (passed, output) = self.test(&["invariants::", "--", "--test-threads=2"]);
        let seeds = output.lines().filter_map(|line| {
            let (seed, _) = line.strip_prefix("seed ")?.split_once(" fails")?;
            seed.parse::<u64>().ok()
        });
        match seeds.min() {
            None if !passed => Err(output),
            seed => Ok(seed),
        }
    }

    fn test(&self, arguments: &[&str]) -> (bool, String) {
        let target = env::temp_dir().join("halves-mutants-target");
        let output = Command::new(env!("CARGO"))
            .args(["test", "--quiet", "--offline", "--no-default-features"])
            .args(["--features", "testing", "--test", "simulation"])
            .args(arguments)
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .env("CARGO_PROFILE_TEST_DEBUG", "none")
            .env("HALVES_SIMULATIONS", SEEDS.to_string())
            .env_remove("HALVES_SEED")
            .env_remove("RUSTFLAGS")
            .output()
            .expect("cargo");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let output_text = text(&output.stdout) + &text(&output.stderr);
        (output.status.success(), output_text)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Copies a file, or a folder without its target folder.
fn copy_all(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        return;
    }
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_name() != OsStr::new("target") {
            copy_all(&entry.path(), &to.join(entry.file_name()));
        }
    }
}
