//! The configuration file with the flags laid over it: read at the start, and again when told.

use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use node_api::{Refusal, Reply, v1};
use router_config::{Document, Problem, Reason};
use tokio::signal::unix::Signal;
use tokio::sync::{Mutex, mpsc};

use super::Args;
use super::calls::How;
use super::owners::{self, FILE};
use super::router::Router;

/// The largest configuration file.
const MAX_FILE: u64 = 64 << 20;

/// Where the API is heard ([`node_api::DEFAULT_TCP`]) and health, when nothing else is said.
const DEFAULT_API: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);
const DEFAULT_HEALTH_PORT: u16 = 8001;

/// Reads that may wait for the router's task.
const READS: usize = 4;

/// Where the document of the owner `file` comes from.
#[derive(Debug)]
pub(super) struct Source {
    path: Option<PathBuf>,
    flags: Document,
    table: Option<u32>,
    grpc: Option<SocketAddr>,
    health_port: Option<u16>,
}

/// Reads the file again, beside the router's task: a large one takes its time.
pub(super) struct Reader {
    source: Arc<Source>,
    /// Where the API and health have been listening since the start.
    listening: (SocketAddr, u16),
    read: mpsc::Sender<Read>,
    /// One reads at a time: what comes out last is what the file says last.
    turn: Arc<Mutex<()>>,
}

/// What was read, and who asked for it.
pub(super) struct Read {
    document: Result<Document, Vec<Problem>>,
    asked: Option<Asked>,
}

/// A request over the API; none: SIGHUP.
struct Asked {
    how: How,
    reply: Reply<v1::ApplyReply>,
}

impl Source {
    pub(super) fn new(args: &Args) -> Source {
        let flags = Document {
            asn: args.asn,
            router_id: args.router_id,
            fib_endpoint: args.fib.clone(),
            exporter: args.exporter.clone(),
            ..Document::default()
        };
        let (grpc, health_port) = (args.grpc, args.health_port);
        Source { path: args.file.clone(), flags, table: args.table_id, grpc, health_port }
    }

    /// The document; empty when there is neither a file nor a flag.
    pub(super) fn read(&self) -> Result<Document, Vec<Problem>> {
        let mut document = match &self.path {
            Some(path) => read(path)?,
            None => Document::default(),
        };
        document.merge(self.flags.clone());
        if let Some(table) = self.table {
            match &mut document.fib {
                Some(fib) => (fib.table, document.fib_options.vrf) = (table, None),
                None => document.fib_table = Some(table),
            }
        }
        if document.exporter.is_some() {
            tracing::warn!("`exporter` has no meaning any more: routes are shown by `sart`");
        }
        if document.fib_endpoint.is_some() {
            tracing::warn!(
                "the endpoint of `fib` has no meaning any more: the kernel is written to"
            );
        }
        // Checked here, so that a wrong file is told with a sentence.
        owners::desired(&document, &self.name()).map_err(|problem| vec![problem])?;
        Ok(document)
    }

    /// There is a file, or a flag that says something.
    pub(super) fn is_there(&self, document: &Document) -> bool {
        self.path.is_some() || !document.is_empty()
    }

    /// Where the API and health listen: flags before the file before the defaults.
    pub(super) fn addresses(&self, document: Option<&Document>) -> (SocketAddr, u16) {
        let grpc = self.grpc.or(document.and_then(|d| d.grpc));
        let health_port = self.health_port.or(document.and_then(|d| d.health_port));
        (grpc.unwrap_or(DEFAULT_API), health_port.unwrap_or(DEFAULT_HEALTH_PORT))
    }

    fn name(&self) -> String {
        self.path.as_deref().map_or(FILE.to_owned(), |path| path.display().to_string())
    }
}

fn read(path: &Path) -> Result<Document, Vec<Problem>> {
    let name = path.display().to_string();
    let unread = |message: String| {
        let (document, reason) = (name.clone(), Reason::Unreadable);
        vec![Problem { document, place: None, reason, message }]
    };
    let mut text = String::new();
    let file =
        fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    file.map_err(|error| unread(format!("cannot be read: {error}")))?;
    if text.len() as u64 > MAX_FILE {
        return Err(unread(format!("is larger than {MAX_FILE} bytes")));
    }
    Document::parse(&text, &name)
}

impl Reader {
    /// A reader, and the end where what it has read comes out.
    pub(super) fn new(
        source: Source,
        listening: (SocketAddr, u16),
    ) -> (Reader, mpsc::Receiver<Read>) {
        let (read, reads) = mpsc::channel(READS);
        let turn = Arc::default();
        (Reader { source: Arc::new(source), listening, read, turn }, reads)
    }

    /// Reads again after each signal; never ends.
    pub(super) fn at_each(&self, mut signal: Signal) -> impl Future<Output = ()> + use<> {
        let begin = self.begin();
        let source = Arc::clone(&self.source);
        async move {
            while signal.recv().await.is_some() {
                if source.path.is_some() {
                    tracing::info!(file = source.name(), "SIGHUP: the file is read again");
                    begin(None);
                } else {
                    tracing::warn!("SIGHUP: nothing is read again: the router runs without a file");
                }
            }
            std::future::pending().await
        }
    }

    /// Begins to read again for a request.
    fn answer(&self, how: How, reply: Reply<v1::ApplyReply>) {
        match &self.source.path {
            Some(_) => self.begin()(Some(Asked { how, reply })),
            None => {
                let why = "the router runs without a file: there is nothing to read again";
                reply.send(Err(Refusal::NotNow(why.to_owned())));
            }
        }
    }

    /// What begins a read.
    fn begin(&self) -> impl Fn(Option<Asked>) + use<> {
        let (source, read) = (Arc::clone(&self.source), self.read.clone());
        let turn = Arc::clone(&self.turn);
        move |asked| {
            let (source, read, turn) = (Arc::clone(&source), read.clone(), Arc::clone(&turn));
            tokio::spawn(async move {
                let _turn = turn.lock().await;
                // Of a read that panicked nobody hears; its caller is told that the router stops.
                if let Ok(document) = tokio::task::spawn_blocking(move || source.read()).await {
                    let _ = read.send(Read { document, asked }).await;
                }
            });
        }
    }

    /// What of a document takes a restart of the router.
    pub(super) fn needs_restart(&self, document: &Document) -> Vec<String> {
        let (grpc, health_port) = self.source.addresses(Some(document));
        let mut needs = Vec::new();
        if grpc != self.listening.0 {
            needs.push(format!("grpc: {grpc} is listened on"));
        }
        if health_port != self.listening.1 {
            needs.push(format!("health_port: {health_port} is listened on"));
        }
        needs
            .iter()
            .map(|what| format!("{what} after a restart of the router, not before"))
            .collect()
    }
}

impl Router {
    /// The file is to be read again.
    pub(super) fn reload(&self, request: &v1::ReloadRequest, reply: Reply<v1::ApplyReply>) {
        let v1::ReloadRequest { dry_run, keep_sessions } = *request;
        self.parts.file.answer(How { dry_run, keep_sessions }, reply);
    }

    /// The file was read again.
    pub(super) fn reloaded(&mut self, read: Read) {
        let Read { document, asked } = read;
        if asked.as_ref().is_some_and(|asked| asked.reply.is_closed()) {
            return;
        }
        let how = asked.as_ref().map(|asked| asked.how).unwrap_or_default();
        let checked = document.and_then(|document| self.parts.owners.check_file(document));
        if !how.dry_run {
            let problems = checked.as_ref().err();
            let problems = problems.map(|all| all.iter().map(ToString::to_string).collect());
            let problems = problems.map(|all: Vec<String>| all.join("; "));
            if let Some(problems) = &problems {
                tracing::warn!(problems, "the file is refused; what was in force stays");
            }
            self.parts.owners.file_refused = problems;
        }
        let later = checked.as_ref().map(|new| self.parts.file.needs_restart(&new.document));
        let later = later.unwrap_or_default();
        let readable = checked.is_ok();
        let mut answer = self.accept(checked, how);
        if readable && !answer.accepted && !how.dry_run {
            let why: Vec<&str> = answer.problems.iter().map(|p| p.message.as_str()).collect();
            self.parts.owners.file_refused = Some(why.join("; "));
            self.parts.publisher.changed();
        }
        answer.conflicts.extend(later);
        match asked {
            Some(Asked { how: _, reply }) => reply.send(Ok(answer)),
            None => {
                for change in answer.changes {
                    tracing::info!(change, "by the file");
                }
                for v1::Reset { neighbor, reason } in answer.resets {
                    tracing::warn!(neighbor, reason, "a session is reset by the file");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_api_is_where_clients_look_for_it() {
        assert_eq!(super::DEFAULT_API.to_string(), node_api::DEFAULT_TCP);
    }
}
