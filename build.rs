//! Hands the compiler's version and the commit to `version --json`.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What the program is made of; a change elsewhere makes no other program.
const SOURCES: [&str; 7] =
    ["src", "schemas", "config", "build.rs", "Cargo.toml", "Cargo.lock", ".cargo"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=VOMSIS_REVISION");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = said(Command::new(rustc).arg("--version")).unwrap_or_default();
    println!("cargo::rustc-env=VOMSIS_RUSTC={version}");
    // Whoever builds from an archive or an image says it; a clone knows by itself.
    let given = env::var_os("VOMSIS_REVISION").and_then(|revision| revision.into_string().ok());
    let given = given.filter(|revision| !revision.is_empty());
    let revision = given.or_else(revision_of_the_clone);
    println!("cargo::rustc-env=VOMSIS_REVISION={}", revision.as_deref().unwrap_or("unknown"));
}

/// The commit of the source tree, with `-dirty` where the sources differ from it; nothing where the
/// tree is no clone, or only lies inside somebody else's.
fn revision_of_the_clone() -> Option<String> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).canonicalize().ok()?;
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        // A hook that builds hands its own repository over in these.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        said(command.arg("--no-optional-locks").current_dir(&root).args(arguments))
    };
    let top = Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    if top != root {
        return None;
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    watch(&root, git);
    let status =
        git(&[&["status", "--porcelain", "--untracked-files=all", "--"][..], &SOURCES].concat());
    let is_dirty = status.is_none_or(|changes| !changes.is_empty());
    Some(if is_dirty { format!("{commit}-dirty") } else { commit })
}

/// Asks for another run when another commit is checked out or made, and when the sources change.
/// What is not there is not named: cargo would run this at every build.
fn watch(root: &Path, git: impl Fn(&[&str]) -> Option<String>) {
    let path = |name: &str| git(&["rev-parse", "--git-path", name]).map(|path| root.join(path));
    // A detached HEAD names its commit itself. A branch lies in a file of its own, or among the packed
    // ones: then the next commit writes a file into the folder that is there above it.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]).and_then(|branch| path(&branch));
    let branch = branch.as_deref().and_then(|file| file.ancestors().find(|place| place.exists()));
    let packed = branch.and_then(|_| path("packed-refs"));
    let heads = [path("HEAD"), branch.map(Path::to_owned), packed, path("reftable/tables.list")];
    let sources = SOURCES.iter().map(|source| root.join(source));
    for place in heads.into_iter().flatten().chain(sources).filter(|place| place.exists()) {
        println!("cargo::rerun-if-changed={}", place.display());
    }
}

/// What a command says on stdout, without the blanks around it; nothing where it fails.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
