use std::time::Duration;

use kube::{Client, Config};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a service account nor a kubeconfig tells where the API server is.
    #[error("no way to the API server is configured")]
    Config(#[source] Box<kube::config::InferConfigError>),
    /// The configuration cannot be used.
    #[error("the API server's configuration cannot be used")]
    Client(#[source] Box<kube::Error>),
}

/// A client of the API server that the pod's service account or a kubeconfig names.
///
/// # Errors
/// When neither is there or they cannot be used. That the API server is away is no error here.
pub async fn client() -> Result<Client, ClientError> {
    let mut config = Config::infer().await.map_err(|e| ClientError::Config(Box::new(e)))?;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(Duration::from_secs(10));
    Client::try_from(config).map_err(|e| ClientError::Client(Box::new(e)))
}
