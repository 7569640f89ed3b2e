//! Downloads blobs from mirrors into the store, and indices into memory.

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

/// How often an interrupted transfer is resumed at the same mirror.
const RESUMES: u32 = 2;

/// One blob to fetch.
#[derive(Clone, Debug)]
pub struct Job {
    /// Name for messages and progress, such as a package's name.
    pub name: String,
    /// The expected content.
    pub want: Want,
    /// URLs of the blob, best first.
    pub mirrors: Vec<Url>,
}

/// Downloads files with a size limit or a known digest.
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
    /// Makes a fetcher that downloads into `store`. Opens no connection yet.
    #[must_use]
    pub fn new(store: Store, settings: FetchSettings) -> Self {
        Self { store, transport: Transport::new(settings.clone()), settings }
    }

    /// The store for downloaded blobs.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether the network may be used.
    #[must_use]
    pub fn network(&self) -> Network {
        self.settings.network
    }

    /// Returns the blob of `job` from the store, or downloads it from the first mirror that serves it. Resumes a transfer
    /// that was interrupted, now or in an earlier run. Discards wrong content and downloads it once more.
    ///
    /// # Errors
    /// See [`FetchError`]. If several mirrors fail, [`FetchError::Mirrors`] lists all failures.
    pub fn fetch_blob(&self, job: &Job, progress: &dyn Progress) -> Result<Blob, FetchError> {
        self.fetch_one(job, progress, &AtomicBool::new(false))
    }

    /// Fetches many blobs, several at a time. The result has the order of `jobs`. The first failure stops all downloads, but not a blob
    /// that no mirror has: the others are fetched.
    ///
    /// # Errors
    /// The first failure. [`FetchError::Gone`] if no mirror has some of several blobs. Offline: one error that lists all missing blobs.
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
        let gone: Mutex<Vec<(usize, FetchError)>> = Mutex::new(Vec::new());
        let done: Mutex<Vec<(usize, Blob)>> = Mutex::new(Vec::new());
        let work = || {
            while let Some(&i) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                match self.fetch_one(&jobs[i], progress, &stop) {
                    Ok(blob) => done.lock().unwrap_or_else(PoisonError::into_inner).push((i, blob)),
                    Err(error) if error.is_missing() => {
                        gone.lock().unwrap_or_else(PoisonError::into_inner).push((i, error));
                    }
                    Err(error) => {
                        // Keep only the first error. Later ones are usually `Stopped`.
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
        let mut gone = gone.into_inner().unwrap_or_else(PoisonError::into_inner);
        gone.sort_by_key(|(i, _)| *i);
        match gone.len() {
            0 => {}
            1 => return Err(gone.remove(0).1),
            _ => return Err(FetchError::Gone { names: gone.iter().map(|(i, _)| jobs[*i].name.clone()).collect() }),
        }
        for (i, blob) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
            blobs[i] = Some(blob);
        }
        Ok(blobs.into_iter().flatten().collect())
    }

    /// Downloads an index into memory. Its digest is not known in advance: the caller must check its signature. Indices are
    /// never cached.
    ///
    /// # Errors
    /// See [`FetchError`]. [`FetchError::TooLarge`] if the index has more than `limit` bytes.
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

    /// Whether at least one mirror may be used. Offline, only `file:` URLs may be.
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

    /// Downloads from one mirror into `part` until size and digest are right.
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
                    // The part file may contain wrong bytes of an earlier run or another mirror. Start again once.
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
                // The server sends another file: the bytes before this one cannot be trusted either.
                discard(part, job, progress)?;
                return Err(size_error(total));
            }
            part.append(chunk)?;
            progress.event(Event::Received { name: &job.name, bytes: chunk.len() as u64 });
            Ok(())
        })?;
        if part.len() < wanted { Err(size_error(part.len())) } else { Ok(()) }
    }

    /// Reads to the end and passes the bytes to `take`. Fails if the transfer is too slow or `stop` is set. `before` is the
    /// number of bytes received earlier, for messages.
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
