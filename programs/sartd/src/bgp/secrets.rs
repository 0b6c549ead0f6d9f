//! Files that hold keys of TCP.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

/// The largest file that a key is read from: a key, and what editors leave behind it.
const MAX_FILE: u64 = 1024;

/// Reads the file of a `password_file`, anew each time that a document is read. The words of a
/// refusal never hold what is in it.
pub(super) fn read(path: &str) -> Result<String, String> {
    // A pipe or a device must not hold the router up.
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    let file = options.open(path).map_err(|error| error.to_string())?;
    let meta = file.metadata().map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("it is no file".to_owned());
    }
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o777;
        return Err(format!("others may use it (mode {mode:04o}); it must be 0600"));
    }
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.trim_end_matches(['\r', '\n']).contains(['\r', '\n']) {
        return Err("a key is one line".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::read;

    struct Key(PathBuf);

    impl Key {
        fn new(name: &str, text: &str, mode: u32) -> Key {
            let name = format!("sartd-key-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Key(path)
        }

        fn read(&self) -> Result<String, String> {
            read(self.0.to_str().unwrap())
        }
    }

    impl Drop for Key {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_key_is_one_line_of_a_file_of_our_own() {
        assert_eq!(Key::new("plain", "s3cret\n", 0o600).read().unwrap(), "s3cret\n");
        let open = Key::new("open", "s3cret", 0o640).read().unwrap_err();
        assert!(open.contains("0640") && !open.contains("s3cret"), "{open}");
        let lines = Key::new("lines", "s3cret\nmore\n", 0o600).read().unwrap_err();
        assert!(lines.contains("one line") && !lines.contains("s3cret"), "{lines}");
        assert!(read("/dev/zero").unwrap_err().contains("no file"));
        assert!(read("/nonexistent").is_err());
    }
}
