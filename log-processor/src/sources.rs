//! LOG_FILE_PATH: a comma-separated list of `[source=]path-or-glob`. Which paths are followed, and the source of each.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The source of the first path that names none: its points carry no source tag.
pub const MAIN: &str = "main";

/// The followed paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    entries: Vec<Item>,
}

/// What LOG_FILE_PATH names now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Source and path of every log.
    pub logs: Vec<(String, PathBuf)>,
    /// Why files that fit a glob are not among them.
    pub refused: Vec<String>,
    /// Globs that nothing fits.
    pub unmatched: Vec<PathBuf>,
    /// Of logs with the name of a rotated file: source and path of the log that is not there, and would fit the glob. Whether it ever was, the ledger knows.
    pub bases: HashMap<PathBuf, (String, PathBuf)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Path {
        source: String,
        path: PathBuf,
    },
    /// Every file that fits is a log of its own, its source the file's stem (behind the given name).
    Glob {
        prefix: Option<String>,
        pattern: String,
    },
}

impl Sources {
    /// Reads the setting. Two paths with one source are a fault: their lines could not be told apart.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        for (index, item) in text.split(',').map(str::trim).filter(|item| !item.is_empty()).enumerate() {
            let (name, path) = match item.split_once('=') {
                Some((name, path)) if !name.contains('/') => (Some(name.trim().to_owned()), path.trim()),
                _ => (None, item),
            };
            if name.as_deref() == Some("") || path.is_empty() {
                return Err(format!("`{item}` has an empty source or path"));
            }
            if let Some(bad) = name.as_deref().filter(|name| !is_source(name)) {
                return Err(format!("`{bad}` is no source: letters, digits, `.`, `-` and `_` are allowed"));
            }
            if path.contains(['*', '?', '[']) {
                glob::Pattern::new(path).map_err(|error| format!("`{path}`: {error}"))?;
                entries.push(Item::Glob { prefix: name, pattern: path.to_owned() });
            } else {
                let path = PathBuf::from(path);
                if is_compressed(&path) {
                    return Err(format!(
                        "`{}` is compressed: name the log that it was rotated from, its compressed files are read with it (START_AT=history reads those of before the first start, too)",
                        path.display()
                    ));
                }
                let source = match name {
                    Some(name) => name,
                    None if index == 0 => MAIN.to_owned(),
                    None => stem(&path),
                };
                entries.push(Item::Path { source, path });
            }
        }
        let mut taken: BTreeMap<&str, &Path> = BTreeMap::new();
        for entry in &entries {
            if let Item::Path { source, path } = entry
                && let Some(other) = taken.insert(source, path)
            {
                let (other, path) = (other.display(), path.display());
                return Err(format!(
                    "{other} and {path} have the same source `{source}`: name one, as in `other={path}`"
                ));
            }
        }
        if entries.is_empty() { Err("no path".to_owned()) } else { Ok(Self { entries }) }
    }

    /// Source and path of every log that is followed now: plain paths whether they exist or not, and the files that fit a glob. A rotated sibling of a log
    /// (`api.log.1` of `api.log`) is no log of its own.
    pub fn paths(&self) -> Found {
        let mut found = Found::default();
        let mut paths: HashSet<PathBuf> = HashSet::new();
        let mut sources: HashMap<String, PathBuf> = HashMap::new();
        // One file under several names, as by links, is one log.
        let mut taken: HashMap<FileId, PathBuf> = HashMap::new();
        // Named paths first: a glob takes nothing from them, wherever it stands in the list.
        for entry in &self.entries {
            if let Item::Path { source, path } = entry {
                paths.insert(path.clone());
                sources.insert(source.clone(), path.clone());
                taken.extend(file_at(path).map(|file| (file, path.clone())));
            }
        }
        for entry in &self.entries {
            match entry {
                Item::Path { source, path } => found.logs.push((source.clone(), path.clone())),
                Item::Glob { prefix, pattern } => {
                    let files = files_of(pattern);
                    if files.is_empty() {
                        found.unmatched.push(pattern.into());
                    }
                    let mut ordered: Vec<(&PathBuf, &FileId)> = files.iter().collect();
                    ordered.sort();
                    for (path, file) in ordered {
                        let base = rotated_base(path);
                        let is_there = |base: &PathBuf| files.contains_key(base) || paths.contains(base);
                        let is_taken = taken.get(file).is_some_and(|other| other != path);
                        if paths.contains(path) || is_taken || base.as_ref().is_some_and(is_there) {
                            continue;
                        }
                        let source_of = |path: &Path| match prefix {
                            Some(prefix) => format!("{prefix}.{}", stem(path)),
                            None => stem(path),
                        };
                        let source = source_of(path);
                        if let Some(other) = sources.get(&source) {
                            let (path, other) = (path.display(), other.display());
                            found.refused.push(format!(
                                "{path} is not followed: its source `{source}` is that of {other}; give one of the globs a name, as in `other={pattern}`"
                            ));
                            continue;
                        }
                        paths.insert(path.clone());
                        taken.insert(*file, path.clone());
                        sources.insert(source.clone(), path.clone());
                        if let Some(base) = base.filter(|base| fits(pattern, base)) {
                            found.bases.insert(path.clone(), (source_of(&base), base));
                        }
                        found.logs.push((source, path.clone()));
                    }
                }
            }
        }
        found
    }
}

impl Found {
    /// The logs that are followed from the start on, given the paths at which generations of a source were seen. Whether a file with the name of a rotated one, of which nothing is known, is a log is found out
    /// later; until then nobody says anything of it.
    pub fn at_start(self, mut seen: impl FnMut(&str) -> Vec<PathBuf>) -> Vec<(String, PathBuf)> {
        let Found { logs, bases, .. } = self;
        let resolve = |(source, path): (String, PathBuf)| match bases.get(&path) {
            None => Some((source, path)),
            Some((of_base, base)) if seen(of_base).iter().any(|path| is_of_log(path, base)) => {
                Some((of_base.clone(), base.clone()))
            }
            Some(_) => (!seen(&source).is_empty()).then_some((source, path)),
        };
        let mut sources = HashSet::new();
        logs.into_iter().filter_map(resolve).filter(|(source, _)| sources.insert(source.clone())).collect()
    }
}

/// Device and inode.
type FileId = (u64, u64);

fn file_at(path: &Path) -> Option<FileId> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some((metadata.dev(), metadata.ino()))
}

/// The files that fit a glob; of several names of one file that which is no link, and the first. Compressed files are rotated ones, never logs.
fn files_of(pattern: &str) -> HashMap<PathBuf, FileId> {
    let mut names: HashMap<FileId, PathBuf> = HashMap::new();
    let is_link = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    for path in glob::glob(pattern).into_iter().flatten().flatten() {
        let Some(file) = file_at(&path).filter(|_| !is_compressed(&path)) else { continue };
        match names.entry(file) {
            Entry::Vacant(free) => drop(free.insert(path)),
            Entry::Occupied(mut other) if (is_link(&path), &path) < (is_link(other.get()), other.get()) => {
                other.insert(path);
            }
            Entry::Occupied(_) => {}
        }
    }
    names.into_iter().map(|(file, path)| (path, file)).collect()
}

fn fits(pattern: &str, path: &Path) -> bool {
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_path_with(path, options))
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "gz")
}

/// Whether a path is a log's own, or that of a rotated file of it.
pub fn is_of_log(path: &Path, log: &Path) -> bool {
    path == log || rotated_base(path).is_some_and(|base| base == log)
}

/// The log of which this would be a rotated sibling.
fn rotated_base(path: &Path) -> Option<PathBuf> {
    let rotated = crate::tail::names::rotated(path.file_name()?.to_str()?)?;
    Some(path.with_file_name(rotated.base))
}

fn is_source(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) && name.len() <= 100
}

/// The file's name without its last ending, every odd character an underscore.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().map_or_else(|| "log".into(), |stem| stem.to_string_lossy());
    stem.chars()
        .map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' })
        .take(100)
        .collect()
}

#[cfg(test)]
mod tests {
    //! The list's grammar.

    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let paths = Sources::parse(text).expect("well-formed").paths().logs;
        let expected: Vec<_> =
            expected.iter().map(|(source, path)| ((*source).to_owned(), PathBuf::from(path))).collect();
        assert_eq!(paths, expected);
    }

    #[test]
    fn the_first_is_main_and_others_have_their_stem_or_name() {
        check("data/api.log", &[("main", "data/api.log")]);
        check("a/api.log, b/shop.log", &[("main", "a/api.log"), ("shop", "b/shop.log")]);
        check("eu=a/api.log,us=b/api.log", &[("eu", "a/api.log"), ("us", "b/api.log")]);
        check("a/x=y.log", &[("main", "a/x=y.log")]);
    }

    #[test]
    fn rotated_siblings_are_no_logs_of_their_own() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["a.log", "a.log.1", "a.log-20240914.gz", "b.log.1", "c-20240914.log"] {
            std::fs::write(folder.path().join(name), "").expect("a file");
        }
        let paths =
            Sources::parse(&format!("{}/*log*", folder.path().display())).expect("well-formed").paths().logs;
        let names: Vec<_> =
            paths.iter().map(|(source, path)| (source.as_str(), path.file_name().expect("a name"))).collect();
        assert_eq!(
            names,
            [
                ("a", "a.log".as_ref()),
                ("b.log", "b.log.1".as_ref()),
                ("c-20240914", "c-20240914.log".as_ref())
            ]
        );
    }

    #[test]
    fn a_file_under_several_names_is_one_log_and_a_compressed_one_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path();
        for name in ["app-1.log", "b.log.1", "c.log.1.gz"] {
            std::fs::write(at.join(name), "").expect("a file");
        }
        std::os::unix::fs::symlink("app-1.log", at.join("a-link.log")).expect("a link");
        let found = |text: String| Sources::parse(&text).expect("well-formed").paths();
        let logs = |text: String| {
            let logs = found(text).logs;
            logs.into_iter().map(|(source, path)| (source, path.file_name().expect("a name").to_owned()))
        };
        let at = at.display();
        let of = |source: &str, name: &str| (source.to_owned(), name.into());
        assert!(logs(format!("{at}/*")).eq([of("app-1", "app-1.log"), of("b.log", "b.log.1")]));
        assert!(
            logs(format!("{at}/../{}/a-*.log", folder.path().file_name().unwrap().display()))
                .eq([of("a-link", "a-link.log")])
        );
        assert!(logs(format!("{at}/a-link.log,{at}/./*.log")).eq([of("main", "a-link.log")]));
        let base = |text: String| found(text).bases.into_values().next();
        assert_eq!(base(format!("{at}/*.log*")), Some(("b".to_owned(), folder.path().join("b.log"))));
        assert_eq!(base(format!("{at}/*.log.1")), None, "no log has such a name");
        let at_start = |known: &str, seen: &str| {
            let logs = found(format!("{at}/*.log*"))
                .at_start(|source| if source == known { vec![folder.path().join(seen)] } else { vec![] });
            logs.into_iter().map(|(source, _)| source).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(at_start("b", "b.log"), "app-1 b");
        assert_eq!(at_start("b", "b.log.3"), "app-1 b");
        assert_eq!(at_start("b", "elsewhere/b.log"), "app-1", "another log that has the same source");
        assert_eq!(at_start("b.log", "b.log.1"), "app-1 b.log", "it was a log before");
        assert_eq!(at_start("", ""), "app-1");
        assert!(Sources::parse("a.log,old.log.1.gz").is_err_and(|why| why.contains("compressed")));
    }

    #[test]
    fn two_files_never_share_a_source_and_none_is_left_out_silently() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["x/a.log", "x/b.log", "y/a.log"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, "").expect("a file");
        }
        let at = folder.path().display();
        let found = |text: String| {
            let Found { logs, refused, unmatched, .. } = Sources::parse(&text).expect("well-formed").paths();
            let short = |path: &Path| path.strip_prefix(folder.path()).expect("inside").display().to_string();
            let logs: Vec<String> =
                logs.iter().map(|(source, path)| format!("{source}={}", short(path))).collect();
            (logs.join(" "), refused.len(), unmatched.len())
        };
        let expect = |text: &str, refused, unmatched| (text.to_owned(), refused, unmatched);
        assert_eq!(found(format!("{at}/*/*.log")), expect("a=x/a.log b=x/b.log", 1, 0));
        assert_eq!(found(format!("{at}/x/*.log,{at}/y/a.log")), expect("b=x/b.log a=y/a.log", 1, 0));
        assert_eq!(
            found(format!("{at}/x/*.log,y={at}/y/*.log")),
            expect("a=x/a.log b=x/b.log y.a=y/a.log", 0, 0)
        );
        assert_eq!(found(format!("{at}/z/*.log")), expect("", 0, 1));
    }

    #[test]
    fn faults() {
        for text in ["", " , ", "=a.log", "x=", "a b=c.log", "a/api.log,b/x.log,c/x.log", "a/[.log"] {
            assert!(Sources::parse(text).is_err(), "{text}");
        }
    }
}
