//! The lab's image registry: the reading half of the OCI distribution API, over HTTP.
//!
//! Every node asks it for every registry (`?ns=docker.io`), so a manifest with any image name that
//! the store answers works unchanged. Nothing can be written through it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::image::Store;

mod answer;
#[cfg(test)]
mod tests;

/// Connections served at once; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 128;
/// A caller has this long to send a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// A connection, with all its requests, ends after this long; containerd simply asks again.
const CONNECTION: Duration = Duration::from_secs(300);

/// `lab __registry`: started by the lab inside its own network namespace.
#[derive(Debug, clap::Args)]
pub(crate) struct RegistryArgs {
    /// Address and port to listen on
    #[arg(long)]
    listen: SocketAddr,
    /// The image store that is served
    #[arg(long)]
    store: PathBuf,
}

/// Serves until it is killed.
///
/// # Errors
/// When the store cannot be opened or the address cannot be listened on.
pub(crate) fn run(args: &RegistryArgs) -> Result<()> {
    let store = Store::open(&args.store)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("listen on {}", args.listen))?;
        serve(listener, store).await;
        Ok(())
    })
}

/// Accepts for ever. A failed accept or a broken connection is the caller's loss only.
pub(crate) async fn serve(listener: TcpListener, store: Store) {
    let store = Arc::new(store);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: some connection has to end first.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let store = Arc::clone(&store);
                async move { answer::answer(&store, &request).await }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            // Both a time-out and a broken connection end here; nobody is left to tell.
            let _ = timeout(CONNECTION, connection).await;
            drop(permit);
        });
    }
}
