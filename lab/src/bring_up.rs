//! From a topology to a running lab, and back to nothing.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroups;
use crate::cluster;
use crate::host::control::Service;
use crate::host::{self, Bind, HostSpec, Kind, Places};
use crate::image::own;
use crate::images;
use crate::install;
use crate::interrupt;
use crate::machine;
use crate::net::{self, SWITCH};
use crate::parts::gobgp;
use crate::places;
use crate::process::Process;
use crate::progress::Progress;
use crate::topology::Topology;
use crate::topology::clab;
use crate::topology::kind::ProxyMode;
use crate::world::{Host, Lab, World};

/// Which of sart's modes is installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Pods' network only.
    Cni,
    /// Services only, beside a plain network for the pods.
    Lb,
    /// Both.
    #[default]
    Dual,
    /// sart is not installed; nodes without a network for pods stay NotReady.
    None,
}

/// What `up` shall do.
#[derive(Clone, Debug)]
pub(crate) struct UpOptions {
    /// A shipped topology's name or a folder.
    pub(crate) topology: String,
    pub(crate) mode: Mode,
    /// Instead of what the cluster file says.
    pub(crate) proxy: Option<ProxyMode>,
    /// A plain network for pods, though the cluster file wants none. Mode `lb` has it always.
    pub(crate) default_cni: bool,
    /// Leaves a lab that did not come up as it is, to be looked at.
    pub(crate) keep: bool,
}

impl Default for UpOptions {
    fn default() -> UpOptions {
        UpOptions {
            topology: "sart".to_owned(),
            mode: Mode::Dual,
            proxy: None,
            default_cni: false,
            keep: false,
        }
    }
}

impl Lab {
    /// Builds a lab. When it fails, nothing is left, and the error says what was in the logs.
    pub(crate) fn up(options: &UpOptions, progress: &Progress) -> Result<Lab> {
        let mut topology = Topology::load(&options.topology)?;
        if let Some(cluster) = &mut topology.cluster {
            cluster.proxy = options.proxy.unwrap_or(cluster.proxy);
            cluster.default_cni |= options.default_cni || options.mode == Mode::Lb;
        }
        make_room(&topology.name)?;
        // A network alone is made of the machine's own programs.
        let parts = match &topology.cluster {
            Some(_) => Some(crate::parts::ensure(progress)?),
            None => None,
        };
        let parts = parts.unwrap_or_default();
        let name = topology.name.clone();
        interrupt::own(&name);
        let result = thread::scope(|scope| {
            // Nothing of it is needed before the nodes are there, and nothing without a cluster.
            let images = topology
                .cluster
                .is_some()
                .then(|| scope.spawn(|| images::ensure(&parts, options.mode, progress)));
            let lab = build(options, topology, &parts, progress)?;
            if let Some(images) = images {
                images.join().map_err(|_| anyhow!("a building thread panicked"))??;
                finish(&lab, progress)?;
            }
            Ok(lab)
        });
        if result.is_err() && !options.keep {
            Lab::down(&name).ok();
        }
        result
    }

    /// Ends a lab: all its processes, and with them its namespaces, mounts and links; then its
    /// cgroups, state and sysctls. Works on what a crash or ^C has left as well.
    pub(crate) fn down(name: &str) -> Result<()> {
        let state = places::state(name);
        let inits: Vec<Process> = fs::read_dir(state.join("hosts"))
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let folder = entry.ok()?.path();
                Process::load(&folder.join("pid.json")).ok()
            })
            .collect();
        for init in &inits {
            init.kill(libc::SIGKILL)?;
        }
        for init in &inits {
            init.wait_gone(Duration::from_secs(20))?;
        }
        Cgroups::of(name, None)?.remove(Duration::from_secs(20))?;
        match fs::remove_dir_all(&state) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", state.display()));
            }
            _ => {}
        }
        interrupt::disown(name);
        machine::restore_unless_used()
    }
}

/// Refuses when a lab of this name is up; takes away what is left of a dead one.
fn make_room(name: &str) -> Result<()> {
    if !places::state(name).exists() {
        return Ok(());
    }
    let switch = Process::load(&Places::of(&places::state(name), SWITCH).pid());
    if switch.is_ok_and(|switch| switch.alive()) {
        bail!("lab {name} is up already; end it with: cargo lab down --lab {name}");
    }
    let starter = Process::load(&starter_file(name));
    if starter.is_ok_and(|starter| starter.alive() && Some(starter) != this_process()) {
        bail!(
            "lab {name} is being started by another process; end it with: cargo lab down --lab {name}"
        );
    }
    Lab::down(name)
}

/// Says who starts a lab.
fn starter_file(name: &str) -> PathBuf {
    places::state(name).join("starter.json")
}

fn this_process() -> Option<Process> {
    Process::of(i32::try_from(std::process::id()).ok()?)
}

fn build(
    options: &UpOptions,
    topology: Topology,
    parts: &Path,
    progress: &Progress,
) -> Result<Lab> {
    let state = places::state(&topology.name);
    fs::create_dir_all(&state).with_context(|| format!("make {}", state.display()))?;
    this_process().context("read this process")?.save(&starter_file(&topology.name))?;
    machine::raise()?;
    let world = World {
        name: topology.name.clone(),
        topology: options.topology.clone(),
        mode: options.mode,
        hosts: Vec::new(),
        links: topology.network.iter().flat_map(|network| network.links.clone()).collect(),
        cluster: topology.cluster.clone(),
        parts: parts.to_path_buf(),
    };
    let mut lab = Lab { world, state };
    let mut specs = specs(&mut lab, &topology, progress)?;
    lab.save()?;

    let mut spec = HostSpec::new(&topology.name, SWITCH, Kind::Switch);
    spec.sysctls = net::switch_sysctls();
    let switch = host::create(&lab.state, &spec, None)?;
    net::batch(lab.name(), SWITCH, switch, &net::switch_commands())?;
    if let Some(stand_in) = machine::dummy_stand_in() {
        let wrapper = machine::ip_wrapper(stand_in);
        specs.iter_mut().for_each(|spec| spec.file("/usr/local/sbin/ip", 0o755, wrapper.as_str()));
    }

    // Those that share another's network need it to be there.
    let (joined, own): (Vec<_>, Vec<_>) = specs.iter().partition(|spec| spec.net_of.is_some());
    each(&own, |spec| {
        host::create(&lab.state, spec, Some(switch))?;
        lab.connect(lab.host(&spec.name)?)
    })?;
    // etcd and the API server take longest, so they start before the cables are laid.
    each(lab.hosts(), |host| {
        host.early.iter().try_for_each(|s| lab.service(&host.name, s.clone()))
    })?;
    each(&joined, |spec| host::create(&lab.state, spec, Some(switch)).map(drop))?;
    progress.say(format_args!("{} hosts", lab.hosts().len()));
    lay_cables(&lab, switch)?;

    thread::scope(|scope| {
        let cluster = scope.spawn(|| start_cluster(&lab, progress));
        each(lab.hosts(), |host| lab.set_up(host))?;
        if !lab.world.links.is_empty() {
            progress.say(format_args!("{} cables, routers running", lab.world.links.len()));
        }
        cluster.join().map_err(|_| anyhow!("a starting thread panicked"))?
    })?;
    Ok(lab)
}

/// What needs images: the cluster's DNS, and sart.
fn finish(lab: &Lab, progress: &Progress) -> Result<()> {
    if let Some(cluster) = &lab.world.cluster {
        images::start(lab)?;
        lab.kubectl_input(&["apply", "-f", "-"], &cluster::dns_objects(cluster))?;
        install::install(lab, lab.world.mode, progress)?;
    }
    Ok(())
}

/// Fills the lab's hosts from the topology, and gives what each is made of.
fn specs(lab: &mut Lab, topology: &Topology, progress: &Progress) -> Result<Vec<HostSpec>> {
    let mut specs = Vec::new();
    if let Some(cluster) = &topology.cluster {
        let plan = cluster::Plan::new(&topology.name, cluster, &lab.world.parts)?;
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(lab.kubeconfig())
            .and_then(|mut f| std::io::Write::write_all(&mut f, plan.admin_kubeconfig().as_bytes()))
            .context("write the kubeconfig")?;
        for (index, node) in cluster.nodes.iter().enumerate() {
            let spec = plan.node(index, node);
            let mut host = new_host(lab, &spec)?;
            host.early = cluster::early(cluster, index);
            host.late = cluster::late(cluster, index, node);
            if cluster.default_cni {
                host.routes = cluster::default_routes(cluster, index);
            }
            lab.world.hosts.push(host);
            specs.push(spec);
        }
    }
    let mut sart = None;
    for wanted in topology.network.iter().flat_map(|network| &network.hosts) {
        let mut spec = linux_spec(&topology.name, wanted);
        if wanted.runs("terassyi/sart") {
            if sart.is_none() {
                progress.say("building sart (minutes the first time)");
                sart = Some(own::programs(&places::checkout())?);
            }
            let programs = sart.iter().flatten();
            spec.binds.extend(programs.map(|(name, path)| Bind {
                from: path.clone(),
                to: Path::new("/usr/local/bin").join(name),
                read_only: true,
            }));
        }
        if wanted.image.as_deref() == Some(gobgp::IMAGE) {
            let folder = gobgp::ensure(progress)?;
            spec.binds.extend(gobgp::programs().map(|name| Bind {
                from: folder.join(name),
                to: Path::new("/usr/local/bin").join(name),
                read_only: true,
            }));
        }
        let mut host = new_host(lab, &spec)?;
        host.exec = wanted.exec.clone();
        host.image = wanted.image.clone();
        if !wanted.cmd.is_empty() {
            host.early = vec![Service::new("cmd", wanted.cmd.clone())];
        }
        lab.world.hosts.push(host);
        specs.push(spec);
    }
    let table = hosts_file(lab.hosts());
    for spec in &mut specs {
        if topology.cluster.is_some() {
            spec.binds.push(cluster::parts_bind(&lab.world.parts));
        }
        spec.file("/etc/hosts", 0o644, table.as_str());
        spec.file("/etc/hostname", 0o644, format!("{}\n", spec.name));
    }
    Ok(specs)
}

fn new_host(lab: &Lab, spec: &HostSpec) -> Result<Host> {
    let number = u16::try_from(lab.hosts().len() + 1)?;
    if number > 200 {
        bail!("more than 200 hosts do not fit the management network");
    }
    Ok(Host {
        name: spec.name.clone(),
        kind: spec.kind,
        number,
        net_of: spec.net_of.clone(),
        image: None,
        exec: Vec::new(),
        early: Vec::new(),
        late: Vec::new(),
        routes: String::new(),
        env: spec.env.clone(),
    })
}

fn linux_spec(lab: &str, wanted: &clab::Host) -> HostSpec {
    let mut spec = HostSpec::new(lab, &wanted.name, Kind::Linux);
    spec.net_of = wanted.net_of.clone();
    spec.binds = wanted.binds.clone();
    spec.env = wanted.env.clone().into_iter().collect();
    if spec.net_of.is_none() {
        spec.sysctls = net::host_sysctls();
    }
    if wanted.runs("frrouting/frr") {
        spec.file("/etc/frr/daemons", 0o644, FRR_DAEMONS);
        spec.file("/etc/frr/vtysh.conf", 0o644, "service integrated-vtysh-config\n");
        if !spec.binds.iter().any(|bind| bind.to == Path::new("/etc/frr/frr.conf")) {
            spec.file("/etc/frr/frr.conf", 0o644, "");
        }
    }
    spec
}

/// FRR as its image has it, whatever this machine's own FRR is set to: nothing configured.
const FRR_DAEMONS: &str = "\
bgpd=no
ospfd=no
ospf6d=no
ripd=no
ripngd=no
isisd=no
pimd=no
ldpd=no
nhrpd=no
eigrpd=no
babeld=no
sharpd=no
pbrd=no
bfdd=no
fabricd=no
vrrpd=no
pathd=no
vtysh_enable=yes
zebra_options=\"  -A 127.0.0.1 -s 90000000\"
bgpd_options=\"   -A 127.0.0.1\"
ospfd_options=\"  -A 127.0.0.1\"
ospf6d_options=\" -A ::1\"
staticd_options=\"-A 127.0.0.1\"
bfdd_options=\"   -A 127.0.0.1\"
";

fn hosts_file(hosts: &[Host]) -> String {
    let own = hosts.iter().filter(|host| host.net_of.is_none());
    let lines =
        own.map(|host| format!("{}\t{}\n{}\t{}\n", host.v4(), host.name, host.v6(), host.name));
    format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n{}", lines.collect::<String>())
}

fn lay_cables(lab: &Lab, switch: Process) -> Result<()> {
    let mut commands = String::new();
    for (index, link) in lab.world.links.iter().enumerate() {
        commands.push_str(&net::cable(index));
        for (side, end) in link.ends.iter().enumerate() {
            commands.push_str(&net::cable_end(index, side, link, lab.init(&end.host)?));
        }
    }
    net::batch(lab.name(), SWITCH, switch, &commands)
}

/// Waits for the API, starts the rest, and waits for the nodes.
fn start_cluster(lab: &Lab, progress: &Progress) -> Result<()> {
    let Some(cluster) = &lab.world.cluster else { return Ok(()) };
    let control_plane = lab.control_plane()?;
    wait(Duration::from_secs(60), || api_answers(lab, control_plane)).map_err(|e| {
        e.context(format!(
            "the API server does not answer\n{}",
            tail(lab, control_plane, "kube-apiserver")
        ))
    })?;
    progress.say("Kubernetes' API server answers");
    each(lab.hosts(), |host| {
        host.late.iter().try_for_each(|s| lab.service(&host.name, s.clone()))
    })?;
    // Long, since sart may be compiled beside; what has failed is seen at once.
    wait(Duration::from_secs(60), || nodes_registered(lab)).map_err(|e| {
        let logs = cluster.nodes.iter().map(|node| tail(lab, &node.name, "kubelet"));
        e.context(format!(
            "not every kubelet has registered its node\n{}",
            logs.collect::<String>()
        ))
    })?;
    let role = format!("node-role.kubernetes.io/{}=", "control-plane");
    lab.kubectl(&["label", "node", control_plane, &role])?;
    progress.say(format_args!("{} nodes registered", cluster.nodes.len()));
    if cluster.default_cni {
        lab.kubectl(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=30s"])?;
        progress.say("all nodes Ready");
    }
    Ok(())
}

fn api_answers(lab: &Lab, control_plane: &str) -> Result<bool> {
    let mut curl = Command::new("curl");
    curl.args(["-sk", "--max-time", "2", "-o", "/dev/null", "-w", "%{http_code}"]);
    curl.arg("https://localhost:6443/readyz").stdin(Stdio::null()).stdout(Stdio::piped());
    let output = lab.spawn_network(control_plane, curl)?.wait_with_output()?;
    all_run(lab, control_plane)?;
    Ok(output.stdout == b"200")
}

/// An error with the last words of a program that has ended.
fn all_run(lab: &Lab, host: &str) -> Result<()> {
    match lab.programs(host)?.iter().find(|program| program.ended.is_some()) {
        Some(program) => {
            bail!("{} has ended\n{}", program.name, tail(lab, host, &program.name))
        }
        None => Ok(()),
    }
}

fn nodes_registered(lab: &Lab) -> Result<bool> {
    let nodes = lab.world.cluster.as_ref().map_or(&[][..], |cluster| &cluster.nodes);
    nodes.iter().try_for_each(|node| all_run(lab, &node.name))?;
    let output = lab.kubectl_output(&["get", "nodes", "-o", "name"], None)?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().count() == nodes.len())
}

/// The last lines of a program's log, under its name.
pub(crate) fn tail(lab: &Lab, host: &str, program: &str) -> String {
    let text =
        fs::read_to_string(lab.logs(host).join(format!("{program}.log"))).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(8)..];
    format!("--- {host}: {program}.log\n{}\n", last.join("\n"))
}

/// Asks every 50 ms until the answer is yes.
pub(crate) fn wait(limit: Duration, mut ask: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + limit;
    while !ask()? {
        if Instant::now() > end {
            bail!("waited for {limit:?}");
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Does one thing for each at the same time; the first error counts.
pub(crate) fn each<T: Sync>(list: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = list.iter().map(|item| scope.spawn(move || work(item))).collect();
        // All are waited for: an early return would leave their hosts behind.
        let results: Vec<Result<()>> = threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))))
            .collect();
        results.into_iter().collect()
    })
}
