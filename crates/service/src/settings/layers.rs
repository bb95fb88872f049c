//! Sources of values, one layer each, and their merging through the `config` crate. What a value means stays outside.

use super::declare::Setting;
use super::env_file;
use super::known;
use super::read::Fault;
use config::{Config, ConfigError, FileFormat, Map, Source, Value, ValueKind};
use std::collections::BTreeMap;

/// What a source says about a setting of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// The name under which it was found: the setting's own, an alias, or one of these with `_FILE`.
    pub(super) spelled: String,
    pub(super) text: String,
    /// The text names a file that holds the value.
    pub(super) in_file: bool,
}

/// One source: its name for people, and what it gives, by the setting's name.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) origin: String,
    pub(super) given: BTreeMap<&'static str, Given>,
}

impl Layer {
    /// Picks the program's settings out of all names that a source has.
    pub(super) fn new(
        origin: impl Into<String>,
        settings: &'static [Setting],
        mut names: BTreeMap<String, String>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let origin = origin.into();
        let mut given = BTreeMap::new();
        for setting in settings {
            for name in setting.names() {
                let plain = names.remove(name);
                let file_name = format!("{name}_FILE");
                let file = if setting.secret { names.remove(&file_name) } else { None };
                let is_given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
                if is_given(&plain) && is_given(&file) {
                    faults.push(Fault::new(format!(
                        "{name} and {file_name} (both from {origin}): expected one of them"
                    )));
                }
                let found = match (plain, file) {
                    (Some(text), _) if !text.is_empty() => {
                        Given { spelled: name.to_owned(), text, in_file: false }
                    }
                    (_, Some(text)) if !text.is_empty() => Given { spelled: file_name, text, in_file: true },
                    (None, None) => continue,
                    _ => Given { spelled: name.to_owned(), text: String::new(), in_file: false },
                };
                given.entry(setting.name).or_insert(found);
            }
        }
        Self { origin, given }
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let value = |given: &Given| Value::new(Some(&self.origin), ValueKind::String(given.text.clone()));
        Ok(self.given.iter().map(|(name, given)| ((*name).to_owned(), value(given))).collect())
    }
}

/// Merges layers, the weakest first: for each setting that any of them gives, the winning layer's word.
pub(super) fn merge(layers: &[Layer]) -> Result<BTreeMap<String, (String, Given)>, ConfigError> {
    let builder = layers.iter().fold(Config::builder(), |builder, layer| builder.add_source(layer.clone()));
    let merged = builder.build()?.collect()?;
    Ok(merged
        .into_iter()
        .filter_map(|(name, value)| {
            let layer = layers.iter().find(|layer| Some(layer.origin.as_str()) == value.origin())?;
            let given = layer.given.get(name.as_str())?.clone();
            Some((name, (layer.origin.clone(), given)))
        })
        .collect())
}

/// The names and values of a text in the form of `.env.local`; warns about names that no program of ours knows.
pub(super) fn from_env_file(
    origin: &str,
    text: &str,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let (entries, complaints) = env_file::parse(text);
    faults.extend(complaints.into_iter().map(|complaint| Fault::new(format!("{origin} {complaint}"))));
    for entry in &entries {
        warn_unknown(&format!("{origin} line {}", entry.line), &entry.key, warnings);
    }
    entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

/// The names and values of a TOML text: keys in any case, tables joined to their keys with `_`, lists with commas.
pub(super) fn from_toml(
    origin: &str,
    text: &str,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    match config::File::from_str(text, FileFormat::Toml).collect() {
        Ok(table) => flatten("", table, &mut names),
        Err(error) => {
            let cause = error.to_string().trim_end().replace('\n', "\n    ");
            faults.push(Fault::new(format!("{origin}: expected valid TOML: {cause}")));
        }
    }
    for name in names.keys() {
        warn_unknown(origin, name, warnings);
    }
    names
}

fn flatten(prefix: &str, table: Map<String, Value>, names: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.to_ascii_uppercase());
        match value.kind {
            ValueKind::Table(inner) => flatten(&format!("{name}_"), inner, names),
            ValueKind::Array(items) => {
                let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
                names.insert(name, items.join(","));
            }
            _ => {
                names.insert(name, value.to_string());
            }
        }
    }
}

/// In the environment, where most names are not ours, only those that look like a slip are warned about.
pub(super) fn warn_slips<'a>(names: impl Iterator<Item = &'a String>, warnings: &mut Vec<String>) {
    for name in names.filter(|name| !known::is_known(name)) {
        if let Some(meant) = known::near_miss(name) {
            warnings.push(format!("{name} (in the environment) is not a setting: did you mean {meant}?"));
        }
    }
}

fn warn_unknown(place: &str, name: &str, warnings: &mut Vec<String>) {
    if known::is_known(name) {
        return;
    }
    let hint = known::near_miss(name).map(|meant| format!(": did you mean {meant}?")).unwrap_or_default();
    warnings.push(format!("{place}: {name} is not a setting of any program here{hint}"));
}
