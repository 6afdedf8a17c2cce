//! Lists the files that the gateway serves, so that the program contains them: the page, and what `client/` gives to pages.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What the client's package ships to pages: folders (the top one is "") and the endings of their files.
const CLIENT: &[(&str, &[&str])] = &[
    ("", &[".js", ".css", "bellwire.d.ts", "panel.d.ts"]),
    ("languages/", &[".js"]),
    ("panel/", &[".js", ".css"]),
    ("icons/", &[".svg", ".png"]),
];

const PAGE: &[(&str, &[&str])] = &[("", &[".html", ".css", ".js", ".svg"])];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package"));
    let mut code = list("CLIENT", &here.join("../client"), CLIENT);
    code += &list("PAGE", &here.join("page"), PAGE);
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names where to write"));
    fs::write(out.join("files.rs"), code).expect("cargo's folder can be written");
}

fn list(name: &str, root: &Path, folders: &[(&str, &[&str])]) -> String {
    let root = root.canonicalize().unwrap_or_else(|error| panic!("{} is needed: {error}", root.display()));
    let mut code = format!("pub(super) static {name}: &[(&str, &[u8])] = &[\n");
    for (folder, endings) in folders {
        for file in files(&root.join(folder), endings) {
            let path = root.join(folder).join(&file);
            println!("cargo::rerun-if-changed={}", path.display());
            writeln!(code, "    ({:?}, include_bytes!({path:?})),", format!("{folder}{file}")).expect("memory");
        }
        // Not the top folder: the modules that only its tests need are in it too. A new file there is noticed because one that
        // is there begins to name it. Nor one that is missing: that would list all anew each time.
        if !folder.is_empty() && root.join(folder).is_dir() {
            println!("cargo::rerun-if-changed={}", root.join(folder).display());
        }
    }
    code + "];\n"
}

/// In the order of their names; a folder that is not there has none.
fn files(folder: &Path, endings: &[&str]) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.path().is_file()).filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| endings.iter().any(|ending| name.ends_with(ending))).collect();
    names.sort();
    names
}
