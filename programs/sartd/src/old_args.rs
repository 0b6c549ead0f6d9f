//! Flags of v0.1 that agent and controller still take, so that old manifests start.

/// Flags of v0.1 that have no meaning any more.
#[derive(clap::Args)]
pub(crate) struct OldArgs {
    /// Without meaning: see --router of the agent.
    #[arg(short, long, hide = true)]
    endpoint: Option<String>,
    /// Without meaning.
    #[arg(short, long, hide = true)]
    file: Option<String>,
    /// Without meaning: there are no webhooks any more.
    #[arg(long, hide = true)]
    https_port: Option<u16>,
    /// Without meaning: there are no webhooks any more.
    #[arg(long, hide = true)]
    tls_cert: Option<String>,
    /// Without meaning: there are no webhooks any more.
    #[arg(long, hide = true)]
    tls_key: Option<String>,
}

impl OldArgs {
    /// Warns of each that is given, and of `more` that the daemon has beside these.
    pub(crate) fn warn(&self, more: &[(&'static str, bool)]) {
        let given = [
            ("--endpoint", self.endpoint.is_some()),
            ("--file", self.file.is_some()),
            ("--https-port", self.https_port.is_some()),
            ("--tls-cert", self.tls_cert.is_some()),
            ("--tls-key", self.tls_key.is_some()),
        ];
        for (flag, _) in given.iter().chain(more).filter(|(_, given)| *given) {
            tracing::warn!(flag, "this flag of v0.1 has no meaning any more");
        }
    }
}
