use std::time::{Duration, Instant};

use cluster_plan::lease::{Elector, Record, Step, Timing};
use inet::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tracing::{debug, info, warn};

/// One request about the Lease takes at most this long.
const REQUEST_TIME: Duration = Duration::from_secs(4);

/// Which Lease it is about, and under what name we want it.
#[derive(Clone, Debug)]
pub struct LeaseName {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// Our name, unique among all who want the Lease.
    pub holder: String,
}

/// Whether we lead. Read it before each write: it tells by the clock, not only by the last news.
#[derive(Clone, Debug)]
pub struct Leadership {
    until: watch::Receiver<Option<Instant>>,
}

impl Leadership {
    /// Whether we lead at this moment.
    pub fn leads(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Until when we lead without another renewal, if we do.
    pub fn until(&self) -> Option<Instant> {
        *self.until.borrow()
    }

    /// Waits until leadership is won, renewed or lost. False when the election is over.
    pub async fn changed(&mut self) -> bool {
        self.until.changed().await.is_ok()
    }
}

/// Takes part in the election. The future runs until `stop` is done, then gives the Lease back.
pub fn lead(
    client: Client,
    lease: LeaseName,
    stop: impl Future<Output = ()>,
) -> (Leadership, impl Future<Output = ()>) {
    let (tell, until) = watch::channel(None);
    let api = Api::namespaced(client, &lease.namespace);
    let driver = Driver {
        elector: Elector::new(lease.holder.clone(), Timing::default()),
        api,
        lease,
        start: Instant::now(),
        tell,
        stored: None,
        led: false,
    };
    (Leadership { until }, driver.run(stop))
}

struct Driver {
    elector: Elector,
    api: Api<Lease>,
    lease: LeaseName,
    start: Instant,
    tell: watch::Sender<Option<Instant>>,
    /// The Lease as last read or written.
    stored: Option<Lease>,
    /// Whether we led when it was told last.
    led: bool,
}

impl Driver {
    fn now(&self) -> Timestamp {
        Timestamp::from_elapsed(self.start.elapsed())
    }

    async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let next = tokio::select! {
                next = self.once() => next,
                () = &mut stop => break,
            };
            let pause = next.since(self.now());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = &mut stop => break,
            }
        }
        if let Some(Step::Write { holder, transitions, version }) = self.elector.release(self.now())
        {
            self.publish();
            match self.store(&holder, transitions, version).await {
                Ok(_) => info!("leadership given back"),
                Err(error) => debug!(%error, "leadership could not be given back"),
            }
        }
    }

    /// Does what is to do now; when to come again.
    async fn once(&mut self) -> Timestamp {
        loop {
            match self.elector.step(self.now()) {
                Step::Wait(until) => {
                    self.publish();
                    return until;
                }
                Step::Read => match self.read().await {
                    Ok(record) => self.elector.read(self.now(), record),
                    Err(error) => {
                        debug!(%error, "cannot read the Lease");
                        self.elector.failed(self.now());
                    }
                },
                Step::Write { holder, transitions, version } => {
                    match self.store(&holder, transitions, version).await {
                        Ok(record) => self.elector.wrote(self.now(), record),
                        Err(error) => {
                            warn!(%error, "cannot renew the Lease");
                            self.elector.failed(self.now());
                        }
                    }
                }
            }
            self.publish();
        }
    }

    /// Tells who listens until when we lead.
    fn publish(&mut self) {
        let until = self.elector.until().map(|until| self.start + until.elapsed());
        let leads = self.elector.leads(self.now());
        if self.led != leads {
            self.led = leads;
            let holder = self.elector.holder().unwrap_or_default();
            if leads {
                info!(me = self.lease.holder, "leading");
            } else {
                info!(me = self.lease.holder, holder, "not leading any more");
            }
        }
        let before = *self.tell.borrow();
        if before != until {
            self.tell.send_replace(until);
        }
    }

    async fn read(&mut self) -> Result<Option<Record>, kube::Error> {
        let request = self.api.get_opt(&self.lease.name);
        let found = tokio::time::timeout(REQUEST_TIME, request).await.map_err(|_| late())??;
        let record = found.as_ref().map(record);
        self.stored = found;
        Ok(record)
    }

    async fn store(
        &mut self,
        holder: &str,
        transitions: i32,
        version: Option<String>,
    ) -> Result<Record, kube::Error> {
        let before = self.stored.clone().and_then(|lease| lease.spec).unwrap_or_default();
        let now = MicroTime(jiff::Timestamp::now());
        let same = before.holder_identity.as_deref() == Some(holder);
        let mut body = Lease {
            metadata: ObjectMeta {
                name: Some(self.lease.name.clone()),
                namespace: Some(self.lease.namespace.clone()),
                resource_version: version.clone(),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(15),
                acquire_time: if same { before.acquire_time } else { Some(now.clone()) },
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        };
        if let Some(stored) = &self.stored {
            body.metadata.labels = stored.metadata.labels.clone();
            body.metadata.annotations = stored.metadata.annotations.clone();
        }
        let params = PostParams::default();
        let request = async {
            match version {
                None => self.api.create(&params, &body).await,
                Some(_) => self.api.replace(&self.lease.name, &params, &body).await,
            }
        };
        let lease = tokio::time::timeout(REQUEST_TIME, request).await.map_err(|_| late())??;
        let record = record(&lease);
        self.stored = Some(lease);
        Ok(record)
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or(0),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

fn late() -> kube::Error {
    kube::Error::Service("no answer in time".into())
}
