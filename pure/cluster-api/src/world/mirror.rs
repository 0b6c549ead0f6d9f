use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kube::Resource;

/// Namespace (empty for a kind without) and name of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectKey {
    /// The key of an object in a namespace.
    pub fn new(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The key of a cluster-scoped object.
    pub fn cluster(name: &str) -> ObjectKey {
        ObjectKey::new("", name)
    }

    /// The key of an object.
    pub fn of<K: Resource>(object: &K) -> ObjectKey {
        let meta = object.meta();
        ObjectKey {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// What a watch of one kind tells.
#[derive(Clone, Debug)]
pub enum Seen<K> {
    /// All objects there are: first, and again after the watch lost its place.
    All {
        /// The objects.
        objects: Vec<K>,
        /// Objects that cannot be read, with why. They are not gone.
        bad: Vec<(ObjectKey, String)>,
        /// The list's resourceVersion.
        version: String,
    },
    /// An object was made or changed.
    Put(K),
    /// An object was deleted; its last state.
    Gone(K),
    /// An object changed into what cannot be read, with why. It is not gone.
    Bad(ObjectKey, String),
}

/// The objects of one kind as last seen, with own writes laid over them.
#[derive(Clone, Debug)]
pub struct Mirror<K> {
    objects: BTreeMap<ObjectKey, K>,
    /// Own writes that the watch has not passed yet.
    written: BTreeMap<ObjectKey, Written>,
    bad: BTreeMap<ObjectKey, String>,
    listed: bool,
}

#[derive(Clone, Debug)]
enum Written {
    /// Stored with this resourceVersion.
    Put(u64),
    /// Deleted; the object had this UID.
    Deleted(Option<String>),
}

impl<K> Default for Mirror<K> {
    fn default() -> Mirror<K> {
        Mirror {
            objects: BTreeMap::new(),
            written: BTreeMap::new(),
            bad: BTreeMap::new(),
            listed: false,
        }
    }
}

impl<K: Resource> Mirror<K> {
    /// Whether all objects have been seen once.
    pub fn listed(&self) -> bool {
        self.listed
    }

    /// The object with this key.
    pub fn get(&self, key: &ObjectKey) -> Option<&K> {
        self.objects.get(key)
    }

    /// The cluster-scoped object with this name.
    pub fn named(&self, name: &str) -> Option<&K> {
        self.objects.get(&ObjectKey::cluster(name))
    }

    /// All objects by key.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &K)> {
        self.objects.iter()
    }

    /// All objects by key.
    pub fn values(&self) -> impl Iterator<Item = &K> {
        self.objects.values()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Objects that cannot be read, with why. The last readable state stays.
    pub fn bad(&self) -> impl Iterator<Item = (&ObjectKey, &str)> {
        self.bad.iter().map(|(key, why)| (key, why.as_str()))
    }

    /// Takes what the watch tells; returns the keys of what is another now.
    pub fn see(&mut self, seen: Seen<K>) -> BTreeSet<ObjectKey> {
        match seen {
            Seen::Put(object) => self.put(object).into_iter().collect(),
            Seen::Gone(object) => {
                let key = ObjectKey::of(&object);
                let stale = match self.written.get(&key) {
                    // We made it anew after this deletion.
                    Some(Written::Put(version)) => {
                        number(&object) < *version && {
                            let uid = self.objects.get(&key).and_then(|o| o.meta().uid.as_ref());
                            uid != object.meta().uid.as_ref()
                        }
                    }
                    Some(Written::Deleted(_)) | None => false,
                };
                if stale {
                    return BTreeSet::new();
                }
                self.written.remove(&key);
                self.bad.remove(&key);
                self.objects.remove(&key);
                BTreeSet::from([key])
            }
            Seen::Bad(key, why) => {
                self.bad.insert(key, why);
                BTreeSet::new()
            }
            Seen::All { objects, bad, version } => {
                self.listed = true;
                let version = version.parse().unwrap_or(u64::MAX);
                let listed: BTreeSet<ObjectKey> = objects.iter().map(ObjectKey::of).collect();
                self.bad = bad.into_iter().collect();
                // Every listed object counts as changed: a list is rare, and nothing is missed.
                let mut changed = listed.clone();
                let missing: Vec<ObjectKey> =
                    self.objects.keys().filter(|key| !listed.contains(key)).cloned().collect();
                for key in missing {
                    let newer =
                        matches!(self.written.get(&key), Some(Written::Put(own)) if *own > version);
                    if !newer && !self.bad.contains_key(&key) {
                        self.objects.remove(&key);
                        self.written.remove(&key);
                        changed.insert(key);
                    }
                }
                self.written.retain(|key, own| match own {
                    Written::Put(own) => *own > version,
                    Written::Deleted(_) => listed.contains(key),
                });
                for object in objects {
                    self.put(object);
                }
                changed
            }
        }
    }

    /// Lays an own write over what was seen: the object as the API server answered it.
    pub fn wrote(&mut self, object: K) -> Option<ObjectKey> {
        let (key, version) = (ObjectKey::of(&object), number(&object));
        if self.objects.get(&key).is_some_and(|seen| number(seen) >= version) {
            return None;
        }
        self.written.insert(key.clone(), Written::Put(version));
        self.objects.insert(key.clone(), object);
        Some(key)
    }

    /// Lays an own deletion over what was seen. An object whose finalizers still hold it is back
    /// with the watch's next word about it.
    pub fn deleted(&mut self, key: &ObjectKey) {
        if let Some(object) = self.objects.remove(key) {
            let uid = object.meta().uid.clone();
            self.written.insert(key.clone(), Written::Deleted(uid));
        }
    }

    fn put(&mut self, object: K) -> Option<ObjectKey> {
        let key = ObjectKey::of(&object);
        match self.written.get(&key) {
            // Older than our own write: the watch has not come so far yet.
            Some(Written::Put(own)) if number(&object) < *own => return None,
            Some(Written::Deleted(uid)) => {
                let deleting = object.meta().deletion_timestamp.is_some();
                if *uid == object.meta().uid && !deleting {
                    return None;
                }
            }
            Some(Written::Put(_)) | None => {}
        }
        self.written.remove(&key);
        self.bad.remove(&key);
        self.objects.insert(key.clone(), object);
        Some(key)
    }
}

/// A resourceVersion as the number that it is (Kubernetes promises so since 1.35; etcd's always
/// were). Zero without one.
fn number<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
}
