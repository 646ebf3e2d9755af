//! The ration of password hashing, which is slow on purpose.
//!
//! Invariant: hashing never takes all cores. Those who protect a paste and those who read one queue apart and take turns;
//! in a queue, whoever has had the fewest turns is next, by client and by paste, so that a crowd waits behind itself. Must
//! never wait without an end: a full queue turns somebody away at once.

use crate::network::Network;
use crate::recent::RecentMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Requests that may wait in each queue: each holds a thread of the pool meanwhile.
const MAX_WAITING: usize = 16;
/// Half of the clients and pastes whose turns are remembered.
const REMEMBERED: usize = 1000;

/// What a password is hashed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To protect a new paste.
    Create,
    /// To read one; a number that tells it from others.
    Read(u64),
}

/// Too many wait for a core.
#[derive(Debug, PartialEq, Eq)]
pub struct Crowded;

/// The ration.
pub struct Hashing {
    /// Hashes that may be computed at a time: half the cores.
    max_at_once: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    at_once: usize,
    next_ticket: u64,
    waiting: Vec<Waiting>,
    /// Turns by client and by paste, each under its hash.
    turns: RecentMap<u64, u64>,
    /// Whether a create was the last to be served.
    create_was_last: bool,
}

struct Waiting {
    ticket: u64,
    is_create: bool,
    client: u64,
    paste: Option<u64>,
    /// Called to its turn, or turned away.
    called: Option<Result<(), Crowded>>,
}

/// What a paste and a client have of the core.
struct Share {
    paste: u64,
    client: u64,
}

impl Share {
    /// The larger counts: neither one client with many pastes nor one paste with many clients has more than others. Among
    /// the clients of one paste, whoever has less goes first.
    fn rank(&self) -> (u64, u64) {
        (self.paste.max(self.client), self.client)
    }
}

impl Default for Hashing {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with((cores / 2).max(1))
    }
}

impl Hashing {
    fn with(max_at_once: usize) -> Self {
        let state = State {
            at_once: 0,
            next_ticket: 0,
            waiting: Vec::new(),
            turns: RecentMap::with_half(REMEMBERED),
            create_was_last: false,
        };
        Self { max_at_once, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Computes a hash when it is this client's turn.
    ///
    /// # Errors
    /// [`Crowded`] when too many wait already who had fewer turns.
    pub fn run<T>(&self, purpose: Purpose, network: Network, hash: impl FnOnce() -> T) -> Result<T, Crowded> {
        let _turn = self.wait_for_turn(purpose, network)?;
        Ok(hash())
    }

    fn wait_for_turn(&self, purpose: Purpose, network: Network) -> Result<Turn<'_>, Crowded> {
        let mut state = self.lock();
        let ticket = state.enter(purpose, network)?;
        if state.at_once < self.max_at_once {
            state.call_next();
        }
        // Somebody may have been turned away for this one.
        self.changed.notify_all();
        loop {
            let at = state.waiting.iter().position(|waiting| waiting.ticket == ticket).ok_or(Crowded)?;
            if state.waiting.get(at).is_some_and(|waiting| waiting.called.is_some()) {
                let called = state.waiting.swap_remove(at).called;
                return called.unwrap_or(Err(Crowded)).map(|()| Turn(self));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts a request into its queue, if need be in the place of one that is further from its fair share.
    fn enter(&mut self, purpose: Purpose, network: Network) -> Result<u64, Crowded> {
        let (is_create, paste) = match purpose {
            Purpose::Create => (true, None),
            Purpose::Read(paste) => (false, Some(hash(("paste", paste)))),
        };
        let client = hash(("client", network));
        let new = Waiting { ticket: self.next_ticket, is_create, client, paste, called: None };
        if self.queue(is_create).count() >= MAX_WAITING {
            let last = self
                .queue(is_create)
                .max_by_key(|waiting| (self.share(waiting).rank(), waiting.ticket))
                .ok_or(Crowded)?;
            let (ticket, share_of_last) = (last.ticket, self.share(last));
            // As if it waited already.
            let mut share = self.share(&new);
            share.client += 1;
            // In the place of another of its paste it adds none there.
            share.paste += u64::from(paste != last.paste);
            if share.rank() >= share_of_last.rank() {
                return Err(Crowded);
            }
            self.answer(ticket, Err(Crowded));
        }
        self.next_ticket += 1;
        let ticket = new.ticket;
        self.waiting.push(new);
        Ok(ticket)
    }

    /// Those of a queue who still wait.
    fn queue(&self, is_create: bool) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter().filter(move |waiting| waiting.is_create == is_create && waiting.called.is_none())
    }

    /// What the paste and the client of a request have of the core: turns they had, and requests that wait.
    fn share(&self, of: &Waiting) -> Share {
        let wait =
            |is_same: &dyn Fn(&Waiting) -> bool| self.queue(of.is_create).filter(|other| is_same(other)).count() as u64;
        Share {
            paste: of.paste.map_or(0, |paste| self.had(paste) + wait(&|other| other.paste == of.paste)),
            client: self.had(of.client) + wait(&|other| other.client == of.client),
        }
    }

    /// Turns that a client or a paste had.
    fn had(&self, key: u64) -> u64 {
        self.turns.get(&key).copied().unwrap_or(0)
    }

    /// Gives the next turn to whoever has had the fewest.
    fn call_next(&mut self) {
        let next = |is_create| {
            let turns = |waiting: &&Waiting| {
                (self.had(waiting.client) + waiting.paste.map_or(0, |paste| self.had(paste)), waiting.ticket)
            };
            self.queue(is_create).min_by_key(turns).map(|waiting| (waiting.ticket, waiting.client, waiting.paste))
        };
        let Some((ticket, client, paste)) = next(!self.create_was_last).or_else(|| next(self.create_was_last)) else {
            // Nobody waits: everybody begins anew.
            self.turns = RecentMap::with_half(REMEMBERED);
            return;
        };
        self.create_was_last = paste.is_none();
        for key in [Some(client), paste].into_iter().flatten() {
            *self.turns.entry(key) += 1;
        }
        self.at_once += 1;
        self.answer(ticket, Ok(()));
    }

    fn answer(&mut self, ticket: u64, answer: Result<(), Crowded>) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.ticket == ticket) {
            waiting.called = Some(answer);
        }
    }
}

/// A core to hash on, given back when dropped, by a panic too.
struct Turn<'a>(&'a Hashing);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.at_once -= 1;
        state.call_next();
        self.0.changed.notify_all();
    }
}

fn hash(key: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread::{Scope, ScopedJoinHandle, yield_now};

    fn client(number: u32) -> Network {
        Network::V4(number.into())
    }

    /// Takes the only core until told to give it back.
    fn occupy<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        hashing: &'env Hashing,
        done: &'env AtomicBool,
    ) -> ScopedJoinHandle<'scope, ()> {
        let thread = scope.spawn(|| {
            let wait = || {
                while !done.load(Ordering::SeqCst) {
                    yield_now();
                }
            };
            hashing.run(Purpose::Create, client(0), wait).unwrap();
        });
        while hashing.lock().at_once == 0 {
            yield_now();
        }
        thread
    }

    fn wait_for(hashing: &Hashing, waiting: usize) {
        while hashing.lock().waiting.len() < waiting {
            yield_now();
        }
    }

    #[test]
    fn hashing_never_takes_more_than_its_cores() {
        let hashing = Hashing::with(2);
        let (at_once, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let run = |number| {
            hashing.run(Purpose::Read(number), client(1), || {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                yield_now();
                at_once.fetch_sub(1, Ordering::SeqCst);
            })
        };
        let run = &run;
        std::thread::scope(|scope| {
            for number in 0..40 {
                scope.spawn(move || run(number));
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
        let state = hashing.lock();
        assert_eq!((state.at_once, state.waiting.len()), (0, 0));
    }

    #[test]
    fn readers_and_creators_take_turns() {
        let (hashing, done, order) = (Hashing::with(1), AtomicBool::new(false), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            occupy(scope, &hashing, &done);
            for number in 0..6 {
                let purpose = if number < 4 { Purpose::Create } else { Purpose::Read(1) };
                let (hashing, order) = (&hashing, &order);
                scope.spawn(move || hashing.run(purpose, client(1), || order.lock().unwrap().push(purpose)).unwrap());
                wait_for(hashing, usize::try_from(number).unwrap() + 1);
            }
            done.store(true, Ordering::SeqCst);
        });
        let (create, read) = (Purpose::Create, Purpose::Read(1));
        assert_eq!(*order.lock().unwrap(), [read, create, read, create, create, create]);
    }

    /// As many clients as there are places, each with a paste of its own, who come again as soon as they were served.
    #[test]
    fn many_clients_that_never_rest_do_not_keep_another_out() {
        for same_paste in [false, true] {
            let (hashing, done) = (Hashing::with(1), AtomicBool::new(false));
            std::thread::scope(|scope| {
                for number in 0..u32::try_from(MAX_WAITING).unwrap() + 8 {
                    let (hashing, done) = (&hashing, &done);
                    let paste = if same_paste { 0 } else { u64::from(number) };
                    scope.spawn(move || {
                        while !done.load(Ordering::SeqCst) {
                            let _ = hashing.run(Purpose::Read(paste), client(number), yield_now);
                        }
                    });
                }
                while hashing.lock().next_ticket < 200 {
                    yield_now();
                }
                let paste = if same_paste { 0 } else { 1000 };
                for _ in 0..5 {
                    assert_eq!(hashing.run(Purpose::Read(paste), client(1000), || ()), Ok(()), "{same_paste}");
                }
                done.store(true, Ordering::SeqCst);
            });
        }
    }

    #[test]
    fn who_had_fewer_turns_is_next_and_a_crowd_makes_room() {
        let (hashing, done, order) = (Hashing::with(1), AtomicBool::new(false), Mutex::new(Vec::new()));
        let refused = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            occupy(scope, &hashing, &done);
            for number in 0..MAX_WAITING + 2 {
                // A crowd of one client fills the queue; then two others come.
                let who = if number < MAX_WAITING { 1 } else { u32::try_from(number).unwrap() };
                let (hashing, order, refused) = (&hashing, &order, &refused);
                scope.spawn(move || {
                    match hashing.run(Purpose::Read(u64::from(who)), client(who), || order.lock().unwrap().push(who)) {
                        Ok(()) => {}
                        Err(Crowded) => _ = refused.fetch_add(1, Ordering::SeqCst),
                    }
                });
                while hashing.lock().next_ticket < u64::try_from(number).unwrap() + 2 {
                    yield_now();
                }
            }
            assert_eq!(
                hashing.run(Purpose::Read(1), client(1), || ()),
                Err(Crowded),
                "the crowd itself is turned away"
            );
            done.store(true, Ordering::SeqCst);
        });
        assert_eq!(refused.load(Ordering::SeqCst), 2);
        let order = order.lock().unwrap();
        assert_eq!(order.len(), MAX_WAITING);
        assert!(order[..3].contains(&16) && order[..3].contains(&17), "{order:?}");
    }
}
