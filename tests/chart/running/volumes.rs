//! The files of a pod, as the kubelet makes them: ConfigMaps and Secrets behind a link that can be swapped, with the group of
//! the pod; empty folders; claims.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::objects::{Objects, list, text};

/// What there is beside the chart's own objects: Secrets and ConfigMaps of the site, by kind and name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Site(BTreeMap<(&'static str, String), Files>);

type Files = BTreeMap<String, Vec<u8>>;

/// A volume that is made.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) path: PathBuf,
    /// Whatever the mount says.
    pub(super) read_only: bool,
}

// === impl Site ===

impl Site {
    pub(crate) fn with(mut self, kind: &'static str, name: &str, files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
        self.0.insert((kind, name.to_owned()), files);
        self
    }

    /// What a Secret or ConfigMap holds, whoever made it.
    pub(super) fn files(&self, objects: &Objects, kind: &'static str, name: &str) -> Result<Files> {
        if let Some(files) = self.0.get(&(kind, name.to_owned())) {
            return Ok(files.clone());
        }
        let object = objects.find(kind, name).with_context(|| format!("there is no {kind} {name:?}"))?;
        let mut files = Files::new();
        for (part, encoded) in [("data", kind == "Secret"), ("stringData", false)] {
            for (key, value) in object.0[part].as_object().into_iter().flatten() {
                let value = value.as_str().context("a text")?;
                let bytes = if encoded { BASE64_STANDARD.decode(value)? } else { value.as_bytes().to_vec() };
                files.insert(key.clone(), bytes);
            }
        }
        Ok(files)
    }
}

/// Makes a pod's volumes in a folder. Those of claims come from `claims`, where they outlive the pod.
pub(super) fn make(
    spec: &Value,
    templates: &[Value],
    objects: &Objects,
    site: &Site,
    folder: &Path,
    claims: &Path,
) -> Result<BTreeMap<String, Volume>> {
    let group = spec.pointer("/securityContext/fsGroup").and_then(Value::as_u64).map(|id| id as u32);
    let mut made = BTreeMap::new();
    for volume in list(spec, "/volumes") {
        let name = text(volume, "/name");
        let path = folder.join(name);
        let mut read_only = false;
        if let Some(source) = volume.get("configMap") {
            read_only = true;
            written(&path, source, site.files(objects, "ConfigMap", text(source, "/name"))?, group)?;
        } else if let Some(source) = volume.get("secret") {
            read_only = true;
            written(&path, source, site.files(objects, "Secret", text(source, "/secretName"))?, group)?;
        } else if volume.get("emptyDir").is_some() {
            empty(&path, 0o777, group)?;
        } else if let Some(claim) = volume.get("persistentVolumeClaim") {
            let claim = claims.join(text(claim, "/claimName"));
            empty(&claim, 0o755, group)?;
            made.insert(name.to_owned(), Volume { path: claim, read_only });
            continue;
        } else {
            bail!("these tests have no such volume: {volume}");
        }
        made.insert(name.to_owned(), Volume { path, read_only });
    }
    for template in templates {
        let name = text(template, "/metadata/name");
        let path = claims.join(name);
        empty(&path, 0o755, group)?;
        made.insert(name.to_owned(), Volume { path, read_only: false });
    }
    Ok(made)
}

/// A folder that the pod's group may write to, if it has one.
fn empty(path: &Path, mode: u32, group: Option<u32>) -> Result<()> {
    fs::create_dir_all(path)?;
    chown(path, Some(0), Some(group.unwrap_or(0)))?;
    let mode = if group.is_some() { mode | 0o2770 } else { mode };
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

/// Files behind `..data`, each with the mode that the volume says.
fn written(path: &Path, source: &Value, files: Files, group: Option<u32>) -> Result<()> {
    const NOW: &str = "..2026_01_01_00_00_00.1";
    let mode = source.get("defaultMode").and_then(Value::as_u64).unwrap_or(0o644);
    let items = list(source, "/items");
    let chosen: Vec<_> = if items.is_empty() {
        files.iter().map(|(key, bytes)| (key.as_str(), bytes, mode)).collect()
    } else {
        let choose = |item| {
            let key = text(item, "/key");
            let bytes = files.get(key).with_context(|| format!("no key {key:?} for {source}"))?;
            Ok((text(item, "/path"), bytes, item.get("mode").and_then(Value::as_u64).unwrap_or(mode)))
        };
        items.iter().map(choose).collect::<Result<_>>()?
    };
    let folder = path.join(NOW);
    fs::create_dir_all(&folder)?;
    symlink(NOW, path.join("..data"))?;
    for (name, bytes, mode) in chosen {
        ensure!(!name.is_empty() && !name.contains('/'), "these tests have no such path: {name:?}");
        let file = folder.join(name);
        fs::write(&file, bytes)?;
        // The kubelet lets the pod's group read, whatever the mode says.
        let mode = mode as u32 | if group.is_some() { 0o440 } else { 0 };
        fs::set_permissions(&file, Permissions::from_mode(mode))?;
        chown(&file, Some(0), Some(group.unwrap_or(0)))?;
        symlink(Path::new("..data").join(name), path.join(name))?;
    }
    for folder in [path, &folder] {
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[test]
fn files_are_as_the_kubelet_makes_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("volume");
    let files = Files::from([("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())]);
    let source = serde_json::json!({"items": [{"key": "b", "path": "c"}], "defaultMode": 0o400});
    written(&path, &source, files.clone(), None).unwrap();
    assert_eq!(fs::read(path.join("c")).unwrap(), b"2");
    assert_eq!(fs::read_link(path.join("c")).unwrap(), Path::new("..data/c"));
    assert_eq!(fs::metadata(path.join("c")).unwrap().permissions().mode() & 0o777, 0o400);
    assert!(!path.join("a").exists());
    let wrong = serde_json::json!({"items": [{"key": "x", "path": "c"}]});
    let error = written(&folder.path().join("other"), &wrong, files, None).unwrap_err();
    assert!(error.to_string().contains("no key \"x\""), "{error}");
}
