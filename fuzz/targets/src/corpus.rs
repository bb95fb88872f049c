//! The kept inputs of a target: small files, one input each, in `fuzz/corpus/<target>`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder `fuzz`.
pub fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in fuzz/").to_owned()
}

/// The inputs of a target, in the order of their names: the order decides what a seed makes of them.
pub fn read(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(fuzz_folder().join("corpus").join(target))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        inputs.push((name, fs::read(path)?));
    }
    inputs.sort();
    Ok(inputs)
}
