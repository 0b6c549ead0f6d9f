//! MRT files: a thread of their own writes them, since a disk may take its time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The most bytes that wait for the disk; what comes then is lost, and counted.
const MOST: usize = 16 << 20;

/// Files of one second that have different names.
const SAME_SECOND: u32 = 100;

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All paths, at one moment.
    Table,
    /// Messages as they came.
    Updates,
}

/// Files of a directory. When it is dropped, the files are ended.
#[derive(Debug)]
pub(super) struct Files {
    jobs: Option<Sender<Job>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What is known of the files.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// How many have got their last name.
    pub(super) files: u64,
    /// Bytes that were written.
    pub(super) bytes: u64,
    /// Records that were not written.
    pub(super) lost: u64,
    /// Why something could not be written; empty again after the next whole file.
    pub(super) error: String,
    /// The last whole table.
    pub(super) last_table: String,
}

#[derive(Debug, Default)]
struct Shared {
    queued: AtomicUsize,
    told: Mutex<Told>,
}

#[derive(Debug)]
enum Job {
    /// Begins a file of this time; the one before of its kind is ended.
    Begin(Kind, u64),
    /// So many records.
    Write(Kind, Vec<u8>, u64),
    /// Ends the file.
    Finish(Kind),
}

impl Files {
    pub(super) fn new(directory: PathBuf) -> Files {
        let (jobs, queue) = channel();
        let shared = Arc::<Shared>::default();
        let writer = Writer { directory, shared: Arc::clone(&shared), table: None, updates: None };
        let name = "sartd-mrt".to_owned();
        let spawned = std::thread::Builder::new().name(name).spawn(move || writer.run(&queue));
        if let Err(error) = &spawned {
            shared.told(|told| told.error = format!("no thread for the files: {error}"));
        }
        Files { jobs: Some(jobs), shared, thread: spawned.ok() }
    }

    /// Begins a file; `unix` seconds are in its name.
    pub(super) fn begin(&self, kind: Kind, unix: u64) {
        self.job(Job::Begin(kind, unix));
    }

    /// Writes so many records, or loses them when the disk is too slow.
    pub(super) fn write(&self, kind: Kind, bytes: Vec<u8>, records: u64) {
        if self.shared.queued.load(Ordering::Relaxed).saturating_add(bytes.len()) > MOST {
            self.shared.told(|told| told.lost += records);
            return;
        }
        self.shared.queued.fetch_add(bytes.len(), Ordering::Relaxed);
        self.job(Job::Write(kind, bytes, records));
    }

    pub(super) fn finish(&self, kind: Kind) {
        self.job(Job::Finish(kind));
    }

    /// Whether the disk keeps up, so that more of a table may be given.
    pub(super) fn has_room(&self) -> bool {
        self.shared.queued.load(Ordering::Relaxed) < MOST / 4
    }

    pub(super) fn told(&self) -> Told {
        self.shared.told(|told| told.clone())
    }

    /// Ends the files: they are whole when the thread is done.
    pub(super) fn end(mut self) -> Option<JoinHandle<()>> {
        self.jobs = None;
        self.thread.take()
    }

    fn job(&self, job: Job) {
        // A thread that is not there has said so.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
    }
}

impl Shared {
    fn told<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Writer {
    directory: PathBuf,
    shared: Arc<Shared>,
    table: Option<Open>,
    updates: Option<Open>,
}

/// A file that still has its first name.
struct Open {
    file: File,
    part: PathBuf,
    name: PathBuf,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            match job {
                Job::Begin(kind, unix) => {
                    self.finish(kind);
                    let opened = open(&self.directory, kind, unix);
                    *self.of(kind) = self.checked(opened);
                }
                Job::Write(kind, bytes, records) => {
                    self.shared.queued.fetch_sub(bytes.len(), Ordering::Relaxed);
                    let written = self.of(kind).as_mut().map(|open| open.file.write_all(&bytes));
                    match written {
                        Some(Ok(())) => {
                            self.shared.told(|told| told.bytes += bytes.len() as u64);
                            continue;
                        }
                        Some(Err(error)) => self.give_up(kind, Err(error)),
                        None => {}
                    }
                    self.shared.told(|told| told.lost += records);
                }
                Job::Finish(kind) => self.finish(kind),
            }
        }
        // A table that is cut short is none.
        if let Some(table) = self.table.take() {
            let _ = std::fs::remove_file(table.part);
        }
        self.finish(Kind::Updates);
    }

    fn of(&mut self, kind: Kind) -> &mut Option<Open> {
        match kind {
            Kind::Table => &mut self.table,
            Kind::Updates => &mut self.updates,
        }
    }

    /// The file gets its last name: from then on it is whole.
    fn finish(&mut self, kind: Kind) {
        let Some(open) = self.of(kind).take() else { return };
        let done = open.file.sync_all().and_then(|()| std::fs::rename(&open.part, &open.name));
        if self.checked(done).is_some() {
            self.shared.told(|told| {
                told.files += 1;
                told.error.clear();
                if kind == Kind::Table {
                    told.last_table = open.name.display().to_string();
                }
            });
        }
    }

    /// A file that cannot be written on. What it has of messages stays, under its first name.
    fn give_up(&mut self, kind: Kind, error: io::Result<()>) {
        if let (Some(open), Kind::Table) = (self.of(kind).take(), kind) {
            let _ = std::fs::remove_file(open.part);
        }
        self.checked(error);
    }

    fn checked<T>(&self, result: io::Result<T>) -> Option<T> {
        result
            .inspect_err(|error| {
                let text = format!("{}: {error}", self.directory.display());
                tracing::warn!(error = text, "an MRT file cannot be written");
                self.shared.told(|told| told.error = text);
            })
            .ok()
    }
}

fn open(directory: &Path, kind: Kind, unix: u64) -> io::Result<Open> {
    std::fs::create_dir_all(directory)?;
    let what = match kind {
        Kind::Table => "rib",
        Kind::Updates => "updates",
    };
    for n in 0..SAME_SECOND {
        let more = if n == 0 { String::new() } else { format!("_{n}") };
        let name = directory.join(format!("{what}.{}{more}.mrt", time_of_name(unix)));
        let part = name.with_extension("mrt.part");
        if name.exists() {
            continue;
        }
        // Never through a link that somebody has put there.
        match OpenOptions::new().write(true).create_new(true).mode(0o640).open(&part) {
            Ok(file) => return Ok(Open { file, part, name }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// `20261121.170305`, in UTC.
fn time_of_name(unix: u64) -> String {
    let time = i64::try_from(unix).ok().and_then(|unix| jiff::Timestamp::from_second(unix).ok());
    time.unwrap_or(jiff::Timestamp::MAX).strftime("%Y%m%d.%H%M%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_time_in_utc() {
        for (unix, name) in [
            (0, "19700101.000000"),
            (951_782_399, "20000228.235959"),
            (951_782_400, "20000229.000000"),
            (1_735_689_599, "20241231.235959"),
            (1_795_280_585, "20261121.170305"),
        ] {
            assert_eq!(time_of_name(unix), name);
        }
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let directory = std::env::temp_dir().join(format!("sartd-mrt-{}", std::process::id()));
        let names = || {
            let entries = std::fs::read_dir(&directory).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let files = Files::new(directory.clone());
        files.begin(Kind::Updates, 0);
        files.write(Kind::Updates, vec![1, 2], 1);
        // A new one ends the one before, and of two of one second each has a name.
        files.begin(Kind::Updates, 0);
        files.begin(Kind::Table, 0);
        files.write(Kind::Table, vec![3], 1);
        let shared = Arc::clone(&files.shared);
        files.end().unwrap().join().unwrap();
        // The table was not finished.
        assert_eq!(names(), ["updates.19700101.000000.mrt", "updates.19700101.000000_1.mrt"]);
        let told = shared.told(|told| told.clone());
        assert_eq!((told.files, told.bytes, told.lost, told.error.as_str()), (2, 3, 0, ""));
        assert_eq!(std::fs::read(directory.join("updates.19700101.000000.mrt")).unwrap(), [1, 2]);
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_disk_that_does_not_take_it_is_told_of() {
        // A file where the directory should be.
        let path = std::env::temp_dir().join(format!("sartd-mrt-file-{}", std::process::id()));
        std::fs::write(&path, "x").unwrap();
        let files = Files::new(path.clone());
        files.begin(Kind::Updates, 0);
        files.write(Kind::Updates, vec![1], 7);
        files.write(Kind::Updates, vec![0; MOST + 1], 5);
        let shared = Arc::clone(&files.shared);
        files.end().unwrap().join().unwrap();
        let told = shared.told(|told| told.clone());
        assert_eq!((told.files, told.lost), (0, 12));
        assert!(told.error.contains("sartd-mrt-file"), "{}", told.error);
        assert_eq!(shared.queued.load(Ordering::Relaxed), 0);
        std::fs::remove_file(&path).unwrap();
    }
}
