use super::*;

/// A node's directories and an agent's image, removed at the end.
struct Node(PathBuf);

impl Node {
    fn new(name: &str) -> Node {
        let dir = std::env::temp_dir().join(format!("sart-install-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("image")).unwrap();
        Node(dir)
    }

    fn what(&self) -> Install {
        Install {
            plugin: self.0.join("image/sart-cni"),
            bin_dir: self.0.join("bin"),
            conf_dir: self.0.join("net.d"),
            mtu: None,
        }
    }

    /// A plugin that answers VERSION with this.
    fn plugin(&self, path: &str, answer: &str) {
        let script = format!("#!/bin/sh\n[ \"$CNI_COMMAND\" = VERSION ] && echo '{answer}'\n");
        write(&self.0.join(path), script.as_bytes(), 0o755).unwrap();
    }

    fn conflist(&self) -> Value {
        let text = fs::read_to_string(self.0.join("net.d/10-sart.conflist")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const OURS: &str = r#"{"supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]}"#;

#[test]
fn the_version_is_the_highest_that_all_plugins_speak() {
    let node = Node::new("version");
    node.plugin("image/sart-cni", OURS);
    node.plugin("bin/portmap", r#"{"supportedVersions": ["0.1.0", "0.3.1", "0.4.0", "1.0.0"]}"#);
    let installed = install(&node.what()).unwrap();
    assert_eq!(installed, Installed { version: "1.0.0".into(), portmap: true });
    assert_eq!(
        node.conflist(),
        json!({"cniVersion": "1.0.0", "name": "sart-network", "plugins": [
            {"type": "sart-cni", "capabilities": {"io.kubernetes.cri.pod-annotations": true}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ]})
    );
    let mode = fs::metadata(node.0.join("bin/sart-cni")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    // A newer portmap is found at the next start.
    node.plugin("bin/portmap", OURS);
    assert_eq!(install(&node.what()).unwrap().version, "1.1.0");
}

/// A child that another thread forks holds a plugin open for writing until it executes.
#[test]
fn a_plugin_that_is_busy_is_asked_again() {
    let node = Node::new("busy");
    node.plugin("image/sart-cni", OURS);
    node.plugin("bin/portmap", OURS);
    let writer = std::fs::OpenOptions::new().append(true).open(node.0.join("bin/portmap")).unwrap();
    let (asked, told) = std::sync::mpsc::channel::<()>();
    let busy = std::thread::spawn(move || {
        // However long it takes, the answer is the same.
        let _ = told.recv_timeout(std::time::Duration::from_millis(50));
        drop(writer);
    });
    let installed = install(&node.what()).unwrap();
    drop(asked);
    busy.join().unwrap();
    assert_eq!((installed.version.as_str(), installed.portmap), ("1.1.0", true));
}

#[test]
fn portmap_comes_from_the_image_where_the_node_has_none() {
    let node = Node::new("image");
    node.plugin("image/sart-cni", OURS);
    node.plugin("image/portmap", r#"{"supportedVersions": ["0.4.0"]}"#);
    assert_eq!(
        install(&node.what()).unwrap(),
        Installed { version: "0.4.0".into(), portmap: true }
    );
    assert!(node.0.join("bin/portmap").exists());
}

#[test]
fn without_portmap_the_chain_is_ours_alone() {
    let node = Node::new("alone");
    node.plugin("image/sart-cni", OURS);
    let installed = install(&Install { mtu: Some(1400), ..node.what() }).unwrap();
    assert_eq!(installed, Installed { version: "1.1.0".into(), portmap: false });
    let plugins = &node.conflist()["plugins"];
    assert_eq!(plugins.as_array().unwrap().len(), 1);
    assert_eq!(plugins[0]["mtu"], json!(1400));
}

#[test]
fn a_portmap_that_cannot_be_asked_gets_the_oldest_version() {
    let node = Node::new("mute");
    node.plugin("image/sart-cni", OURS);
    for answer in ["no json", "{}", r#"{"supportedVersions": ["9.9.9"]}"#] {
        node.plugin("bin/portmap", answer);
        let installed = install(&node.what()).unwrap();
        assert_eq!(installed, Installed { version: OLDEST.into(), portmap: true }, "{answer}");
    }
}

#[test]
fn nothing_is_written_twice_and_nothing_is_left_over() {
    let node = Node::new("again");
    node.plugin("image/sart-cni", OURS);
    install(&node.what()).unwrap();
    let written = || {
        ["bin/sart-cni", "net.d/10-sart.conflist"]
            .map(|file| fs::metadata(node.0.join(file)).unwrap().modified().unwrap())
    };
    let before = written();
    install(&node.what()).unwrap();
    assert_eq!(written(), before);
    let files = |dir: &str| fs::read_dir(node.0.join(dir)).unwrap().count();
    assert_eq!((files("bin"), files("net.d")), (1, 1));
}

#[test]
fn without_the_plugin_no_configuration_is_written() {
    let node = Node::new("missing");
    let error = install(&node.what()).unwrap_err();
    assert!(format!("{error:#}").contains("cannot install"), "{error:#}");
    assert!(!node.0.join("net.d").exists());
}
