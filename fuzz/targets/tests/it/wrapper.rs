//! The programs for cargo-fuzz are the targets, no more and no fewer, and so are the campaigns and the folders of the corpus. cargo-fuzz needs a nightly Rust, so more than that cannot be checked here.

use std::collections::BTreeSet;
use std::fs;

use fuzz_targets::{TARGETS, corpus};

use crate::campaigns::CAMPAIGNS;

#[test]
fn cargo_fuzz_campaigns_and_corpus_have_the_same_targets() {
    let folder = corpus::fuzz_folder();
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let campaigns: BTreeSet<String> = CAMPAIGNS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(campaigns, targets, "tests/it/campaigns.rs");
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(corpus::fuzz_folder().join(folder)).expect("the folder is there");
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names("corpus"), targets, "fuzz/corpus");
    assert_eq!(
        names("fuzz_targets"),
        targets.iter().map(|name| format!("{name}.rs")).collect(),
        "fuzz/fuzz_targets"
    );
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("the wrapper has a manifest");
    for name in &targets {
        let binary = format!(
            "[[bin]]\nname = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\ntest = false\ndoc = false\nbench = false\n"
        );
        assert!(manifest.contains(&binary), "fuzz/Cargo.toml lacks\n{binary}");
        let program =
            fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).expect("it is there");
        let calls = format!("fuzz_target!(|bytes: &[u8]| fuzz_targets::run(\"{name}\", bytes));");
        assert!(program.contains(&calls), "fuzz/fuzz_targets/{name}.rs lacks\n{calls}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
}
