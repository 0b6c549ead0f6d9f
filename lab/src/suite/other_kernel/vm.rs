//! A machine in QEMU: without a network or a disk, with the root of the machine around it to read
//! and one folder to write.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::sys;

/// Where the machine has the shared folder; `lab/kernel/init` mounts it.
pub(super) const SHARED: &str = "/run/shared";

/// The file in it that says that the kernel has come to the tests.
pub(super) const BEGAN: &str = "began";

const QEMU: &str = "qemu-system-x86_64";

/// How long all may take, and how long it may take until the kernel has come to the tests.
const LIMIT: Duration = Duration::from_secs(900);
const BOOT: Duration = Duration::from_secs(90);

/// What runs the machine's instructions: the processor, or QEMU one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accelerator {
    Kvm,
    Emulation,
}

/// A machine that is to be run once.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Path,
    /// Its first program.
    pub(super) init: &'a Path,
    /// Has the script `job`; gets the console's text, and what the script writes.
    pub(super) shared: &'a Path,
}

/// How it went.
pub(super) enum Ended {
    /// It was run by this.
    ByItself(&'static str),
    /// QEMU has not come to run anything, and why.
    Never(String),
}

/// Whether there is a QEMU that may run; else why not.
pub(super) fn usable() -> Result<(), String> {
    if !cfg!(target_arch = "x86_64") {
        return Err("the kernel is one for x86-64".into());
    }
    match Command::new(QEMU).arg("--version").output() {
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => Err(format!("{QEMU}: {}", out.status)),
        Err(error) => Err(format!("{QEMU} (package qemu-system-x86): {error}")),
    }
}

/// KVM without the processor's own help runs only kernels that are made for it.
fn accelerators(processor: &str) -> Vec<Accelerator> {
    let flags = processor.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let help = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    let kvm = File::options().read(true).write(true).open("/dev/kvm");
    match help && kvm.is_ok() {
        true => vec![Accelerator::Kvm, Accelerator::Emulation],
        false => vec![Accelerator::Emulation],
    }
}

impl Accelerator {
    /// What it is called, and what QEMU calls it.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Accelerator::Kvm => ("KVM", "kvm"),
            Accelerator::Emulation => ("emulated", "tcg"),
        }
    }
}

impl Machine<'_> {
    /// Boots it and waits until it has ended.
    ///
    /// # Errors
    /// When it does not end in time, or does not come to its script.
    pub(super) fn run(&self) -> Result<Ended> {
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let mut why = String::new();
        for accelerator in accelerators(&processor) {
            match self.run_with(accelerator) {
                Ok(Ended::Never(reason)) => why = reason,
                // An emulation that fails would fail again; KVM here may be one that hangs.
                Err(error) if accelerator == Accelerator::Kvm && !self.has_begun() => {
                    why = format!("{error:#}");
                }
                ended => return ended,
            }
        }
        Ok(Ended::Never(why))
    }

    fn has_begun(&self) -> bool {
        self.shared.join(BEGAN).exists()
    }

    fn run_with(&self, accelerator: Accelerator) -> Result<Ended> {
        let said = self.shared.join("qemu.log");
        let mut qemu = self.command(accelerator);
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said)?);
        sys::with_signals(&mut qemu);
        sys::die_with_parent(&mut qemu);
        let mut child = qemu.spawn().context("start QEMU")?;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            let limit = if self.has_begun() { LIMIT } else { BOOT };
            if start.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                bail!("not within {limit:?}; see {}", self.shared.display());
            }
            thread::sleep(Duration::from_millis(50));
        };
        if self.has_begun() {
            return Ok(Ended::ByItself(accelerator.names().0));
        }
        if status.success() {
            let console = self.shared.join("console.log");
            bail!("the kernel has not come to the tests; see {}", console.display());
        }
        let said = fs::read_to_string(said).unwrap_or_default();
        Ok(Ended::Never(format!("{status}: {}", said.trim())))
    }

    fn command(&self, accelerator: Accelerator) -> Command {
        let cpus = thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
        let mut qemu = Command::new(QEMU);
        qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        qemu.arg("-machine").arg(format!("pc,accel={}", accelerator.names().1));
        qemu.args(["-cpu", "max", "-m", "2048", "-smp", &cpus.to_string()]);
        qemu.arg("-kernel").arg(self.kernel).arg("-append").arg(self.command_line());
        let root = "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap";
        let shared = format!("local,id=shared,path={},security_model=none", escaped(self.shared));
        for (share, tag) in [(root, "root"), (&shared, "shared")] {
            qemu.args(["-fsdev", share]);
            qemu.arg("-device").arg(format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}"));
        }
        let console = escaped(&self.shared.join("console.log"));
        qemu.arg("-chardev").arg(format!("file,id=console,path={console}"));
        qemu.args(["-device", "isa-serial,chardev=console"]);
        qemu
    }

    fn command_line(&self) -> String {
        let options = "trans=virtio,version=9p2000.L,msize=262144,cache=loose";
        format!(
            "console=ttyS0 quiet panic=-1 ro root=root rootfstype=9p rootflags={options} init=\"{}\"",
            self.init.display()
        )
    }
}

/// A path in one of QEMU's lists of options.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_processors_help_it_is_emulated() {
        let plain = "processor\t: 0\nflags\t\t: fpu hypervisor svml\n";
        assert_eq!(accelerators(plain), [Accelerator::Emulation]);
    }

    #[test]
    fn a_comma_in_a_path_is_no_end_of_it() {
        assert_eq!(escaped(Path::new("/a,b")), "/a,,b");
    }
}
