//! Numbered pieces of work on several threads. The result does not depend on the number of threads.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    panic,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// One thread for each CPU that this process may use.
pub(crate) fn per_cpu() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Does `work` for each number below `count`. Each thread keeps a `state` of its own (a buffer, an open file).
/// After a failure no further number is started. Numbers are started in order, so the error returned is that of the lowest
/// number that fails.
pub(crate) fn each<S, E: Send>(
    count: usize,
    threads: NonZeroUsize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let worker = || {
        let mut state = state();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count || failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            if let Err(error) = work(&mut state, number) {
                failed.store(true, Ordering::Relaxed);
                return Err((number, error));
            }
        }
    };
    let results: Vec<_> = thread::scope(|scope| {
        let handles: Vec<_> = (1..threads.get().min(count)).map(|_| scope.spawn(worker)).collect();
        let mine = worker();
        let join = |handle: thread::ScopedJoinHandle<'_, _>| handle.join().unwrap_or_else(|p| panic::resume_unwind(p));
        handles.into_iter().map(join).chain([mine]).collect()
    });
    let first = results.into_iter().filter_map(Result::err).min_by_key(|(number, _)| *number);
    first.map_or(Ok(()), |(_, error)| Err(error))
}

/// The same for work with a result: `take` gets the results in the order of their numbers, on any of the threads. Results
/// that come too early are held.
pub(crate) fn in_order<S, T: Send, E: Send>(
    count: usize,
    threads: NonZeroUsize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<T, E> + Sync,
    take: impl FnMut(T) -> Result<(), E> + Send,
) -> Result<(), E> {
    let queue = Mutex::new((BTreeMap::new(), 0, take));
    each(count, threads, state, |state, number| {
        let made = work(state, number)?;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (waiting, next, take) = &mut *queue;
        waiting.insert(number, made);
        while let Some(made) = waiting.remove(next) {
            *next += 1;
            take(made)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_done_once_and_the_lowest_failure_is_returned() {
        for threads in [1, 2, 7] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let sum = AtomicUsize::new(0);
            let add = |number| {
                sum.fetch_add(number, Ordering::Relaxed);
                Ok::<_, ()>(())
            };
            each(1000, threads, || (), |(), number| add(number)).unwrap();
            assert_eq!(sum.into_inner(), 999 * 500);
            let fail = |(): &mut (), number: usize| if number % 100 == 37 { Err(number) } else { Ok(()) };
            assert_eq!(each(1000, threads, || (), fail), Err(37));
            assert_eq!(each(0, threads, || (), fail), Ok(()));
        }
    }

    #[test]
    fn results_come_in_order() {
        let (threads, mut seen) = (NonZeroUsize::new(4).unwrap(), Vec::new());
        let square = |(): &mut (), number: usize| Ok::<_, ()>(number * number);
        let take = |square| {
            seen.push(square);
            if seen.len() < 90 { Ok(()) } else { Err(()) }
        };
        assert_eq!(in_order(100, threads, || (), square, take), Err(()));
        assert!(seen.iter().take(90).copied().eq((0..90).map(|number| number * number)));
    }
}
