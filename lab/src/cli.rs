//! The command line.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::bring_up::{Mode, UpOptions};
use crate::progress::Progress;
use crate::topology::kind::ProxyMode;
use crate::world::{self, Lab};
use crate::{
    bench, demo, fuzz, host, image, images, interrupt, packages, parts, registry, status, suite,
    sys,
};

/// Networks and Kubernetes clusters out of Linux namespaces on this machine
#[derive(Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab")]
pub(crate) struct Cli {
    /// The lab meant, when several are up
    #[arg(long, global = true, value_name = "NAME")]
    lab: Option<String>,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Starts a lab: routers, a Kubernetes cluster, sart
    Up(Up),
    /// Ends the lab that is up, or the one of --lab; nothing is left of it
    Down {
        /// Ends every lab of this machine; with several up, this or --lab must be said
        #[arg(long)]
        all: bool,
    },
    /// Shows the hosts of a lab and what runs on them
    Status {
        /// How to show it
        #[arg(short, long, default_value = "plain")]
        output: status::Format,
    },
    /// Runs a command on a host: cargo lab exec client0 -- ping 10.0.1.0
    Exec {
        /// The host
        host: String,
        /// The command
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Runs kubectl on the lab's cluster: cargo lab kubectl -- get pods
    Kubectl {
        /// kubectl's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Prints the administrator's kubeconfig
    Kubeconfig,
    /// Kills a program on a host, or the host: its disk is kept, all else is gone
    Kill {
        /// The host
        host: String,
        /// The program, e.g. kube-apiserver, bgpd, "sartd agent"
        program: Option<String>,
    },
    /// Asks a program on a host to end
    Stop {
        /// The host
        host: String,
        /// The program
        program: String,
    },
    /// Starts a program again, or a host that was killed
    Start {
        /// The host
        host: String,
        /// The program, as status shows it
        program: Option<String>,
    },
    /// Kills a host and starts it again
    Reboot {
        /// The host
        host: String,
    },
    /// Takes the carrier from the cable at an interface, both ends
    Unplug {
        /// The host
        host: String,
        /// The interface
        interface: String,
    },
    /// Gives the cable its carrier back
    Plug {
        /// The host
        host: String,
        /// The interface
        interface: String,
    },
    /// Builds the cluster's programs and prints where they are
    Parts {
        /// Installs Debian packages that are missing
        #[arg(long)]
        install: bool,
    },
    /// Shows and names the images that the lab's registry serves
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// Brings sart up on real routers and shows what it does; the cluster stays up
    Demo(demo::DemoArgs),
    /// Measures the router beside others
    Bench(bench::BenchArgs),
    /// Runs the fuzz targets and writes docs/fuzz.md
    Fuzz(fuzz::FuzzArgs),
    /// Runs the project's tests, from formatting to the cluster
    Test(suite::TestArgs),
    #[command(name = "__registry", hide = true)]
    Registry(registry::RegistryArgs),
    #[command(name = "__probe", hide = true)]
    Probe(suite::probe::ProbeArgs),
    #[command(name = "__host", hide = true)]
    Host {
        state: PathBuf,
        name: String,
        #[arg(long)]
        switch: Option<i32>,
    },
}

#[derive(Args)]
struct Up {
    /// A shipped topology's name, or a folder with cluster.yaml and topology.clab.yaml
    #[arg(default_value = "sart")]
    topology: String,
    /// Which of sart's modes is installed
    #[arg(long, default_value = "dual")]
    mode: Mode,
    /// How kube-proxy works, instead of what cluster.yaml says
    #[arg(long)]
    kube_proxy: Option<ProxyMode>,
    /// Gives pods a plain network, as with disableDefaultCNI: false
    #[arg(long)]
    default_cni: bool,
    /// Installs Debian packages that are missing
    #[arg(long)]
    install: bool,
    /// Leaves a lab that did not come up, to be looked at
    #[arg(long)]
    keep: bool,
}

/// Does what the command line says. The exit code of `exec` and `kubectl` is the command's own.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    let lab = || Lab::open(cli.lab.as_deref());
    if let Task::Host { state, name, switch } = &cli.command {
        host::run(state, name, *switch)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !sys::is_root() {
        bail!("namespaces need root: run it as root, or with sudo -E");
    }
    if matches!(cli.command, Task::Up(_) | Task::Demo(_) | Task::Test(_)) {
        interrupt::watch();
    }
    match cli.command {
        Task::Up(up) => bring_up(up)?,
        Task::Down { all } => down(cli.lab.as_deref(), all)?,
        Task::Status { output } => {
            std::io::stdout().write_all(status::show(&lab()?, output)?.as_bytes())?;
        }
        Task::Exec { host, command } => {
            let mut words = Command::new(&command[0]);
            words.args(&command[1..]);
            return Ok(code(lab()?.spawn(&host, words)?.wait()?));
        }
        Task::Kubectl { args } => {
            let lab = lab()?;
            let mut command = lab.kubectl_command();
            command.args(args);
            return Ok(code(lab.spawn_network(lab.control_plane()?, command)?.wait()?));
        }
        Task::Kubeconfig => {
            let file = lab()?.kubeconfig();
            let text = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
            std::io::stdout().write_all(&text)?;
        }
        Task::Kill { host, program } => lab()?.kill(&host, program.as_deref())?,
        Task::Stop { host, program } => lab()?.stop(&host, &program)?,
        Task::Start { host, program } => lab()?.start(&host, program.as_deref())?,
        Task::Reboot { host } => lab()?.reboot(&host)?,
        Task::Unplug { host, interface } => lab()?.unplug(&host, &interface)?,
        Task::Plug { host, interface } => lab()?.plug(&host, &interface)?,
        Task::Parts { install } => {
            packages::ensure(install, packages::Use::Lab)?;
            println!("{}", parts::ensure(&Progress::new())?.display());
        }
        Task::Image(command) => match Lab::open(cli.lab.as_deref()) {
            Ok(lab) => image::run(command, &image::open(&lab.images())?)?,
            Err(_) => image::run(command, &images::base()?)?,
        },
        Task::Demo(args) => demo::run(&args)?,
        Task::Bench(args) => bench::run(args)?,
        Task::Fuzz(args) => fuzz::run(&args)?,
        Task::Test(args) => return suite::run(&args),
        Task::Registry(args) => registry::run(&args)?,
        Task::Probe(args) => suite::probe::run(&args)?,
        Task::Host { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn bring_up(up: Up) -> Result<()> {
    packages::ensure(up.install, packages::Use::Lab)?;
    let progress = Progress::new();
    let options = UpOptions {
        topology: up.topology,
        mode: up.mode,
        proxy: up.kube_proxy,
        default_cni: up.default_cni,
        keep: up.keep,
    };
    let lab = Lab::up(&options, &progress)?;
    progress.say(format_args!("lab {} is up", lab.name()));
    let name = lab.name();
    eprintln!("\nlook with: cargo lab status\nend with:  cargo lab down --lab {name}");
    Ok(())
}

fn down(wanted: Option<&str>, all: bool) -> Result<()> {
    let names = to_end(wanted, all, world::names())?;
    for name in &names {
        Lab::down(name).with_context(|| format!("end lab {name}"))?;
        eprintln!("lab {name} is gone");
    }
    if names.is_empty() {
        eprintln!("no lab is up");
    }
    Ok(())
}

/// Which labs end: another one's is not ended by the way.
fn to_end(wanted: Option<&str>, all: bool, up: Vec<String>) -> Result<Vec<String>> {
    match wanted {
        Some(name) => Ok(vec![name.to_owned()]),
        None if up.len() > 1 && !all => {
            bail!("{} labs are up: {}; say --lab NAME or --all", up.len(), up.join(", "))
        }
        None => Ok(up),
    }
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(u8::try_from(code.unwrap_or(1)).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::to_end;

    #[test]
    fn down_ends_the_only_lab_or_those_that_are_named() {
        let up = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let ended = |wanted, all, names: &[&str]| to_end(wanted, all, up(names)).ok();
        assert_eq!(ended(None, false, &[]), Some(vec![]));
        assert_eq!(ended(None, false, &["a"]), Some(up(&["a"])));
        assert_eq!(ended(Some("a"), false, &["a", "b"]), Some(up(&["a"])));
        assert_eq!(ended(None, true, &["a", "b"]), Some(up(&["a", "b"])));
        let refused = to_end(None, false, up(&["a", "b"])).map_err(|error| error.to_string());
        assert_eq!(refused, Err("2 labs are up: a, b; say --lab NAME or --all".to_owned()));
    }
}
