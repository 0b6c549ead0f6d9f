//! Images on disk, as an OCI image layout: `oci-layout`, `index.json`, `blobs/sha256/…`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::layer::{Layer, sha256};
use super::name::Name;

/// Media type of a manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image's configuration.
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of a layer. Not compressed: what is pulled here never leaves the machine's memory.
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// A blob that no index names is kept this long: a lab that is up may still serve it.
const KEEP_UNUSED: Duration = Duration::from_secs(24 * 3600);

/// A blob's type, digest (`sha256:…`) and length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// An image's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u8,
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: String,
    manifests: Vec<Descriptor>,
}

/// One directory of images. Several processes may use it at once.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens the store in `dir`, making it when it is not there.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join("blobs/sha256"))
            .with_context(|| format!("make the image store {}", dir.display()))?;
        let store = Self { dir: dir.to_owned() };
        store.lay_out()?;
        Ok(store)
    }

    /// A store in `dir` that starts with the images of `self` and shares its blobs, but whose
    /// names are its own: tags given there are gone with it.
    pub(crate) fn fork(&self, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let blobs = dir.join("blobs");
        if fs::symlink_metadata(&blobs).is_err() {
            symlink(self.dir.join("blobs"), &blobs)
                .with_context(|| format!("link {}", blobs.display()))?;
        }
        let fork = Self { dir: dir.to_owned() };
        fork.lay_out()?;
        fork.write_index(&self.index()?)?;
        Ok(fork)
    }

    /// All names and the manifests they stand for, sorted by name.
    pub(crate) fn list(&self) -> Result<Vec<(Name, Descriptor)>> {
        let mut list: Vec<_> = self
            .index()?
            .manifests
            .into_iter()
            .filter_map(|d| Some((d.annotations.get(REF_NAME)?.parse().ok()?, d)))
            .collect();
        list.sort_by(|a: &(Name, _), b| a.0.cmp(&b.0));
        Ok(list)
    }

    /// The manifest that answers `registry`/`path`:`tag` best; see [`Name::rank`].
    pub(crate) fn resolve(
        &self,
        registry: Option<&str>,
        path: &str,
        tag: &str,
    ) -> Result<Option<Descriptor>> {
        let found = self.list()?.into_iter().filter_map(|(name, descriptor)| {
            name.rank(registry, path, tag).map(|rank| (rank, descriptor))
        });
        Ok(found.max_by_key(|(rank, _)| *rank).map(|(_, descriptor)| descriptor))
    }

    /// Gives the image `image` the further name `name`, taking it from any other image.
    pub(crate) fn tag(&self, image: &Name, name: &Name) -> Result<()> {
        let list = self.list()?;
        let Some((_, descriptor)) = list.iter().find(|(own, _)| own == image) else {
            let names: Vec<String> = list.iter().map(|(own, _)| own.to_string()).collect();
            bail!("no image {image}; there are: {}", names.join(", "));
        };
        self.name(name, descriptor.clone())
    }

    /// Stores a layer.
    pub(crate) fn put_layer(&self, layer: &Layer) -> Result<Descriptor> {
        let temporary = self.temporary("layer");
        let (hex, size) = layer.write(&temporary)?;
        self.keep(&temporary, &hex)?;
        Ok(descriptor(LAYER, &hex, size))
    }

    /// Stores a small blob.
    pub(crate) fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        let hex = sha256(bytes);
        let temporary = self.temporary("blob");
        fs::write(&temporary, bytes)?;
        self.keep(&temporary, &hex)?;
        Ok(descriptor(media_type, &hex, bytes.len() as u64))
    }

    /// Names a stored manifest, and forgets blobs that nothing has used for a day.
    pub(crate) fn name(&self, name: &Name, mut manifest: Descriptor) -> Result<()> {
        let lock = File::create(self.dir.join(".lock")).context("lock the image store")?;
        lock.lock()?;
        let mut index = self.index()?;
        let text = name.to_string();
        manifest.annotations.insert(REF_NAME.into(), text.clone());
        index.manifests.retain(|d| d.annotations.get(REF_NAME) != Some(&text));
        index.manifests.push(manifest);
        self.write_index(&index)?;
        self.prune(&index)
    }

    /// The file of a blob, when `digest` is a digest and the blob is there.
    pub(crate) fn blob(&self, digest: &str) -> Option<PathBuf> {
        let hex = digest.strip_prefix("sha256:")?;
        let valid = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let path = self.dir.join("blobs/sha256").join(hex);
        (valid && path.is_file()).then_some(path)
    }

    /// Reads a manifest back.
    pub(crate) fn manifest(&self, descriptor: &Descriptor) -> Result<Manifest> {
        let path = self.blob(&descriptor.digest).context("the manifest's blob is gone")?;
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    fn lay_out(&self) -> Result<()> {
        if !self.dir.join("oci-layout").exists() {
            self.replace("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        if !self.dir.join("index.json").exists() {
            let (schema_version, media_type) = (2, INDEX.to_owned());
            self.write_index(&Index { schema_version, media_type, manifests: Vec::new() })?;
        }
        Ok(())
    }

    fn index(&self) -> Result<Index> {
        let path = self.dir.join("index.json");
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))
    }

    fn write_index(&self, index: &Index) -> Result<()> {
        self.replace("index.json", &serde_json::to_vec_pretty(index)?)
    }

    /// Readers see the old file or the new one, never a half.
    fn replace(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let temporary = self.temporary(file);
        fs::write(&temporary, bytes)?;
        fs::rename(&temporary, self.dir.join(file))
            .with_context(|| format!("write {} in {}", file, self.dir.display()))
    }

    fn temporary(&self, what: &str) -> PathBuf {
        self.dir.join(format!("blobs/.{what}.{}", std::process::id()))
    }

    fn keep(&self, temporary: &Path, hex: &str) -> Result<()> {
        // Also when it is there already: the newer time keeps it from being pruned.
        fs::rename(temporary, self.dir.join("blobs/sha256").join(hex))
            .with_context(|| format!("keep blob {hex}"))
    }

    fn prune(&self, index: &Index) -> Result<()> {
        // The blobs of a fork are another store's.
        if fs::symlink_metadata(self.dir.join("blobs"))?.is_symlink() {
            return Ok(());
        }
        let mut used = BTreeSet::new();
        for descriptor in &index.manifests {
            used.insert(descriptor.digest.clone());
            let manifest = self.manifest(descriptor)?;
            used.insert(manifest.config.digest);
            used.extend(manifest.layers.into_iter().map(|layer| layer.digest));
        }
        for file in fs::read_dir(self.dir.join("blobs/sha256"))? {
            let file = file?;
            let digest = format!("sha256:{}", file.file_name().to_string_lossy());
            let age = SystemTime::now().duration_since(file.metadata()?.modified()?);
            if !used.contains(&digest) && age.is_ok_and(|age| age > KEEP_UNUSED) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }
}

fn descriptor(media_type: &str, hex: &str, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: format!("sha256:{hex}"),
        size,
        annotations: BTreeMap::new(),
    }
}
