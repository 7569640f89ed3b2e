//! Fetching: from mirrors into the store, or an index into memory.

use crate::{
    blob::{Blob, Want},
    error::FetchError,
    pace::Meter,
    part::Part,
    progress::{Event, Progress},
    settings::{FetchSettings, Network},
    store::{Claim, Store},
    transport::Transport,
    url::{Scheme, Url},
};
use std::{
    fmt,
    io::{self, Read},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// How often a broken transfer is taken up again at the same mirror.
const RESUMES: u32 = 2;

/// One blob to fetch.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it is, for messages and progress (a package's name).
    pub name: String,
    /// Exactly these bytes.
    pub want: Want,
    /// Where it can be had, best first.
    pub mirrors: Vec<Url>,
}

/// The door that bytes come in by.
pub struct Fetcher {
    store: Store,
    settings: FetchSettings,
    transport: Transport,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("store", &self.store).field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// A fetcher into `store`. Connects to nobody yet.
    #[must_use]
    pub fn new(store: Store, settings: FetchSettings) -> Self {
        Self { store, transport: Transport::new(settings.clone()), settings }
    }

    /// The store that it fills.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether it may use the network.
    #[must_use]
    pub fn network(&self) -> Network {
        self.settings.network
    }

    /// The blob of `job`, from the store or the first mirror that serves it. A transfer that broke off, now or in an
    /// earlier run, is taken up where it ended; wrong content is thrown away and asked for once more.
    ///
    /// # Errors
    /// See [`FetchError`]; with several mirrors, [`FetchError::Mirrors`] names each one's failure.
    pub fn fetch_blob(&self, job: &Job, progress: &dyn Progress) -> Result<Blob, FetchError> {
        self.fetch_one(job, progress, &AtomicBool::new(false))
    }

    /// Many blobs, several at a time, in the order of `jobs`. The first failure ends all.
    ///
    /// # Errors
    /// The first failure that happened; offline, one error that names everything missing.
    pub fn fetch_all(&self, jobs: &[Job], progress: &dyn Progress) -> Result<Vec<Blob>, FetchError> {
        let mut blobs = jobs.iter().map(|job| self.store.get(job.want)).collect::<Result<Vec<_>, _>>()?;
        let missing: Vec<usize> = (0..jobs.len()).filter(|&i| blobs[i].is_none()).collect();
        let unreachable: Vec<String> =
            missing.iter().filter(|&&i| !self.may_fetch(&jobs[i])).map(|&i| jobs[i].name.clone()).collect();
        if !unreachable.is_empty() {
            return Err(FetchError::Offline { missing: unreachable });
        }
        let bytes = missing.iter().map(|&i| jobs[i].want.size).sum();
        progress.event(Event::Planned { files: missing.len(), bytes });

        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let failure: Mutex<Option<FetchError>> = Mutex::new(None);
        let done: Mutex<Vec<(usize, Blob)>> = Mutex::new(Vec::new());
        let work = || {
            while let Some(&i) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                match self.fetch_one(&jobs[i], progress, &stop) {
                    Ok(blob) => done.lock().unwrap_or_else(PoisonError::into_inner).push((i, blob)),
                    Err(error) => {
                        // The first error is the cause; those that follow are `Stopped`.
                        if !stop.swap(true, Ordering::Relaxed) {
                            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        }
                        return;
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.settings.threads.clamp(1, missing.len().max(1)) {
                scope.spawn(work);
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        for (i, blob) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
            blobs[i] = Some(blob);
        }
        Ok(blobs.into_iter().flatten().collect())
    }

    /// An index whose digest nobody knows beforehand: its signature must be checked by the caller. Never cached.
    ///
    /// # Errors
    /// See [`FetchError`]; [`FetchError::TooLarge`] beyond `limit` bytes.
    pub fn fetch_index(&self, url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
        if self.settings.network == Network::Offline && url.scheme() != Scheme::File {
            return Err(FetchError::Offline { missing: vec![url.to_string()] });
        }
        let mut resumes = 0;
        loop {
            match self.read_index(url, limit) {
                Err(error) if error.is_interruption() && resumes < RESUMES => resumes += 1,
                answer => return answer,
            }
        }
    }

    fn read_index(&self, url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
        let mut answer = self.transport.open(url, 0)?;
        let too_large = || FetchError::TooLarge { url: url.clone(), limit };
        if answer.announced.is_some_and(|size| size > limit) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        self.pump(url, 0, &mut *answer.reader, &AtomicBool::new(false), |chunk| {
            bytes.extend_from_slice(chunk);
            if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(()) }
        })?;
        match answer.announced {
            Some(wanted) if wanted != bytes.len() as u64 => {
                Err(FetchError::Size { url: url.clone(), wanted, found: bytes.len() as u64 })
            }
            _ => Ok(bytes),
        }
    }

    /// Whether some mirror may be asked at all.
    fn may_fetch(&self, job: &Job) -> bool {
        self.settings.network == Network::Online || job.mirrors.iter().any(|url| url.scheme() == Scheme::File)
    }

    fn fetch_one(&self, job: &Job, progress: &dyn Progress, stop: &AtomicBool) -> Result<Blob, FetchError> {
        if stop.load(Ordering::Relaxed) {
            return Err(FetchError::Stopped);
        }
        let mut part = match self.store.claim(job.want)? {
            Claim::Present(blob) => return Ok(blob),
            Claim::Absent(part) => part,
        };
        if !self.may_fetch(job) {
            return Err(FetchError::Offline { missing: vec![job.name.clone()] });
        }
        progress.event(Event::Started { name: &job.name, size: job.want.size, resumed: part.len() });
        let mut failures = Vec::new();
        for url in &job.mirrors {
            if self.settings.network == Network::Offline && url.scheme() != Scheme::File {
                continue;
            }
            match self.fill(url, job, &mut part, progress, stop) {
                Ok(()) => {
                    let blob = part.publish()?;
                    progress.event(Event::Finished { name: &job.name });
                    return Ok(blob);
                }
                // A full disk or a stop is not the mirror's fault.
                Err(error @ (FetchError::Io { .. } | FetchError::Stopped)) if url.scheme() != Scheme::File => {
                    return Err(error);
                }
                Err(error) => failures.push(error),
            }
        }
        match failures.len() {
            0 => Err(FetchError::NoMirror { name: job.name.clone() }),
            1 => Err(failures.remove(0)),
            _ => Err(FetchError::Mirrors { name: job.name.clone(), failures }),
        }
    }

    /// Fills `part` from one mirror until size and digest are right.
    fn fill(
        &self,
        url: &Url,
        job: &Job,
        part: &mut Part,
        progress: &dyn Progress,
        stop: &AtomicBool,
    ) -> Result<(), FetchError> {
        let (mut resumes, mut fresh) = (0, false);
        loop {
            match self.transfer(url, job, part, progress, stop) {
                Err(error) if error.is_interruption() && resumes < RESUMES => resumes += 1,
                Err(error) => return Err(error),
                Ok(()) => {
                    let found = part.digest();
                    if found == job.want.sha256 {
                        return Ok(());
                    }
                    // What an earlier run or another mirror left may be to blame: one try from the first byte on.
                    discard(part, job, progress)?;
                    if fresh {
                        return Err(FetchError::Digest { url: url.clone(), wanted: job.want.sha256, found });
                    }
                    fresh = true;
                }
            }
        }
    }

    /// Appends to `part` until it has the wanted size.
    fn transfer(
        &self,
        url: &Url,
        job: &Job,
        part: &mut Part,
        progress: &dyn Progress,
        stop: &AtomicBool,
    ) -> Result<(), FetchError> {
        let wanted = job.want.size;
        if part.len() == wanted {
            return Ok(());
        }
        let mut answer = self.transport.open(url, part.len())?;
        let size_error = |found| FetchError::Size { url: url.clone(), wanted, found };
        if let Some(found) = answer.announced.map(|rest| answer.start.saturating_add(rest)).filter(|&n| n != wanted) {
            return Err(size_error(found));
        }
        if answer.start != part.len() {
            discard(part, job, progress)?;
        }
        self.pump(url, part.len(), &mut *answer.reader, stop, |chunk| {
            let total = part.len() + chunk.len() as u64;
            if total > wanted {
                // Not even the part that would fit is to be trusted.
                discard(part, job, progress)?;
                return Err(size_error(total));
            }
            part.append(chunk)?;
            progress.event(Event::Received { name: &job.name, bytes: chunk.len() as u64 });
            Ok(())
        })?;
        if part.len() < wanted { Err(size_error(part.len())) } else { Ok(()) }
    }

    /// Reads to the end, minding pace and stop. `before` bytes have come earlier.
    fn pump(
        &self,
        url: &Url,
        before: u64,
        reader: &mut dyn Read,
        stop: &AtomicBool,
        mut take: impl FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let pace = self.settings.pace;
        let (mut meter, mut found) = (Meter::new(pace), before);
        let mut buffer = vec![0; 1 << 16];
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(FetchError::Stopped);
            }
            let read = match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_timeout(&error) => return Err(FetchError::Slow { url: url.clone(), found, pace }),
                Err(source) => return Err(FetchError::Interrupted { url: url.clone(), found, source }),
            };
            found += read as u64;
            take(&buffer[..read])?;
            if !meter.count(read) {
                return Err(FetchError::Slow { url: url.clone(), found, pace });
            }
        }
    }
}

fn discard(part: &mut Part, job: &Job, progress: &dyn Progress) -> Result<(), FetchError> {
    progress.event(Event::Discarded { name: &job.name, bytes: part.len() });
    part.restart()
}

pub(crate) fn is_timeout(error: &io::Error) -> bool {
    let wrapped = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    error.kind() == io::ErrorKind::TimedOut || matches!(wrapped, Some(ureq::Error::Timeout(_)))
}
