//! Limits password hashing, which is deliberately slow.
//!
//! Invariant: hashing takes at most half of the cores, or the only one. Creates and reads have separate queues that
//! alternate; in a queue, the client and paste with the fewest turns is next, so that a crowd only delays itself. That
//! does not help against a crowd that comes from ever new addresses, so every second turn is for networks that were
//! rejected and came back, the longest waiting first: of those rejected after it, none goes before it. Must never wait
//! without bound: a full queue rejects a request at once.

use crate::blocking;
use crate::cores;
use crate::network::Network;
use crate::recent::RecentMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Requests that may wait in each queue: each blocks a thread of the pool.
const MAX_WAITING: usize = 12;
/// Requests of networks that came back that may wait in addition.
const MAX_RETURNING: usize = 4;
/// Half of the number of clients and pastes whose turns are remembered.
const REMEMBERED: usize = 1000;
/// Half of the number of rejected networks that are remembered: one is forgotten after so many others, more than a busy
/// server rejects in the second until it comes back.
const REJECTED: usize = 50_000;

/// The purpose of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Protects a new paste.
    Create,
    /// Reads the paste with this number.
    Read(u64),
}

/// Too many requests are waiting.
#[derive(Debug, PartialEq, Eq)]
pub struct Crowded;

/// The limiter.
pub struct Hashing {
    /// The maximum number of concurrent hashes: half the cores.
    max_at_once: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    at_once: usize,
    next_ticket: u64,
    waiting: Vec<Waiting>,
    /// Turns by client and by paste, keyed by a hash.
    turns: RecentMap<u64, u64>,
    /// By network, keyed by a hash: the number of its first rejection since its last turn for coming back, or 0.
    rejected: RecentMap<u64, u64>,
    rejections: u64,
    /// Whether the last request served was a create.
    create_was_last: bool,
    /// Whether the last create served had come back.
    create_had_returned: bool,
    /// Whether the last read served had come back.
    read_had_returned: bool,
}

struct Waiting {
    ticket: u64,
    is_create: bool,
    client: u64,
    /// The network that shares one turn for coming back.
    site: u64,
    paste: Option<u64>,
    /// The number of the rejection after which its network came back, if it waits for that turn.
    rejection: Option<u64>,
    /// Its turn or its rejection, once decided.
    called: Option<Result<(), Crowded>>,
}

/// The share of a paste and of a client.
struct Share {
    paste: u64,
    client: u64,
}

impl Share {
    /// The larger one counts: neither a client with many pastes nor a paste with many clients gets more than others.
    /// Among the clients of a paste, the one with less goes first.
    fn rank(&self) -> (u64, u64) {
        (self.paste.max(self.client), self.client)
    }
}

impl Default for Hashing {
    fn default() -> Self {
        Self::with((cores::count() / 2).max(1))
    }
}

impl Hashing {
    fn with(max_at_once: usize) -> Self {
        let state = State {
            at_once: 0,
            next_ticket: 0,
            waiting: Vec::new(),
            turns: RecentMap::with_half(REMEMBERED),
            rejected: RecentMap::with_half(REJECTED),
            rejections: 0,
            create_was_last: false,
            create_had_returned: false,
            read_had_returned: false,
        };
        Self { max_at_once, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for this client's turn and computes a hash.
    ///
    /// # Errors
    /// [`Crowded`] if too many requests with fewer turns are waiting, and too many that have been waiting for longer.
    pub fn run<T>(&self, purpose: Purpose, network: Network, hash: impl FnOnce() -> T) -> Result<T, Crowded> {
        blocking::about_to_block();
        let _turn = self.wait_for_turn(purpose, network)?;
        Ok(hash())
    }

    fn wait_for_turn(&self, purpose: Purpose, network: Network) -> Result<Turn<'_>, Crowded> {
        let mut state = self.lock();
        let ticket = state.enter(purpose, network)?;
        if state.at_once < self.max_at_once {
            state.call_next();
        }
        // Another request may have been rejected for this one.
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
    /// Queues a request, if necessary in place of one that is further above its fair share, or else as one that came
    /// back.
    fn enter(&mut self, purpose: Purpose, network: Network) -> Result<u64, Crowded> {
        let (is_create, paste) = match purpose {
            Purpose::Create => (true, None),
            Purpose::Read(paste) => (false, Some(hash(("paste", paste)))),
        };
        let (client, site) = (hash(("client", network)), hash(("site", is_create, network.site())));
        let ticket = self.next_ticket;
        let mut new = Waiting { ticket, is_create, client, site, paste, rejection: None, called: None };
        if !self.has_room(&new) {
            new.rejection = self.returns(&new);
            if new.rejection.is_none() {
                self.remember_rejection(site);
                return Err(Crowded);
            }
        }
        self.next_ticket += 1;
        self.waiting.push(new);
        Ok(ticket)
    }

    /// Whether the queue has room for a request, if necessary after rejecting another.
    fn has_room(&mut self, new: &Waiting) -> bool {
        if self.queue(new.is_create).count() < MAX_WAITING {
            return true;
        }
        let last = self.queue(new.is_create).max_by_key(|waiting| (self.share(waiting).rank(), waiting.ticket));
        let Some(last) = last else { return false };
        let (ticket, share_of_last) = (last.ticket, self.share(last));
        // As if it were already waiting.
        let mut share = self.share(new);
        share.client += 1;
        // Replacing another request for the same paste adds none to its share.
        share.paste += u64::from(new.paste != last.paste);
        let is_before = share.rank() < share_of_last.rank();
        if is_before {
            self.reject(ticket);
        }
        is_before
    }

    /// The rejection after which a request came back, if there is room for it, if necessary after rejecting one that
    /// was rejected later. Only one request of a network counts.
    fn returns(&mut self, new: &Waiting) -> Option<u64> {
        let rejection = self.rejected.get(&new.site).copied().filter(|number| *number > 0)?;
        if self.returning(new.is_create).any(|waiting| waiting.site == new.site) {
            return None;
        }
        if self.returning(new.is_create).count() >= MAX_RETURNING {
            let last = self.returning(new.is_create).max_by_key(|waiting| waiting.rejection)?;
            if last.rejection < Some(rejection) {
                return None;
            }
            self.reject(last.ticket);
        }
        Some(rejection)
    }

    /// The requests of a queue that are still waiting, without those that came back.
    fn queue(&self, is_create: bool) -> impl Iterator<Item = &Waiting> {
        self.undecided(is_create).filter(|waiting| waiting.rejection.is_none())
    }

    /// The requests that came back and are still waiting.
    fn returning(&self, is_create: bool) -> impl Iterator<Item = &Waiting> {
        self.undecided(is_create).filter(|waiting| waiting.rejection.is_some())
    }

    fn undecided(&self, is_create: bool) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter().filter(move |waiting| waiting.is_create == is_create && waiting.called.is_none())
    }

    /// The shares of a request's paste and client: past turns plus waiting requests.
    fn share(&self, of: &Waiting) -> Share {
        let wait =
            |is_same: &dyn Fn(&Waiting) -> bool| self.queue(of.is_create).filter(|other| is_same(other)).count() as u64;
        Share {
            paste: of.paste.map_or(0, |paste| self.had(paste) + wait(&|other| other.paste == of.paste)),
            client: self.had(of.client) + wait(&|other| other.client == of.client),
        }
    }

    /// The past turns of a client or paste.
    fn had(&self, key: u64) -> u64 {
        self.turns.get(&key).copied().unwrap_or(0)
    }

    /// Gives the next turn.
    fn call_next(&mut self) {
        let next = self.next(!self.create_was_last).or_else(|| self.next(self.create_was_last));
        let Some(&Waiting { ticket, is_create, client, site, paste, rejection, .. }) = next else {
            // The queues are empty: start afresh.
            self.turns = RecentMap::with_half(REMEMBERED);
            return;
        };
        self.create_was_last = is_create;
        *(if is_create { &mut self.create_had_returned } else { &mut self.read_had_returned }) = rejection.is_some();
        if rejection.is_some() {
            self.rejected.remove(&site);
        }
        for key in [Some(client), paste].into_iter().flatten() {
            *self.turns.entry(key) += 1;
        }
        self.at_once += 1;
        self.answer(ticket, Ok(()));
    }

    /// The next request of a queue: in turn the one with the fewest turns and, of those that came back, the one
    /// rejected first.
    fn next(&self, is_create: bool) -> Option<&Waiting> {
        let turns = |waiting: &&Waiting| {
            (self.had(waiting.client) + waiting.paste.map_or(0, |paste| self.had(paste)), waiting.ticket)
        };
        let fewest = self.queue(is_create).min_by_key(turns);
        let first = self.returning(is_create).min_by_key(|waiting| waiting.rejection);
        let had_returned = if is_create { self.create_had_returned } else { self.read_had_returned };
        if had_returned { fewest.or(first) } else { first.or(fewest) }
    }

    /// Rejects a waiting request.
    fn reject(&mut self, ticket: u64) {
        if let Some(site) = self.waiting.iter().find(|waiting| waiting.ticket == ticket).map(|waiting| waiting.site) {
            self.remember_rejection(site);
        }
        self.answer(ticket, Err(Crowded));
    }

    /// Remembers that a network was rejected; an earlier rejection stays.
    fn remember_rejection(&mut self, site: u64) {
        self.rejections += 1;
        let rejected = self.rejected.entry(site);
        if *rejected == 0 {
            *rejected = self.rejections;
        }
    }

    fn answer(&mut self, ticket: u64, answer: Result<(), Crowded>) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.ticket == ticket) {
            waiting.called = Some(answer);
        }
    }
}

/// A core for hashing, released when dropped, even by a panic.
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
    use crate::network::Network::V6;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread::{Scope, ScopedJoinHandle, yield_now};

    fn client(number: u32) -> Network {
        Network::V4(number.into())
    }

    /// Occupies the only core until told to release it.
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

    /// Gives the next turn on one core, which ends at once. Returns what was decided: turns and rejections.
    fn serve(state: &mut State) -> Vec<Waiting> {
        state.call_next();
        state.at_once = 0;
        let (decided, waiting) = std::mem::take(&mut state.waiting).into_iter().partition(|it| it.called.is_some());
        state.waiting = waiting;
        decided
    }

    /// A flood on one paste, on one core. 500 of its requests arrive during each hash; `address` gives the client of
    /// each. A reader of the paste comes every eight hashes, as told. Returns how often the reader was turned away
    /// before each of its reads.
    fn read_during_a_flood(address: impl Fn(u16) -> [u16; 4]) -> [u32; 5] {
        let mut state = Hashing::with(1).state.into_inner().unwrap();
        let (mut number, mut refusals, mut reads, mut reader) = (0_u16, [0; 5], 0, None);
        for hash in 0..3000 {
            for _ in 0..500 {
                number = number.wrapping_add(1);
                let _ = state.enter(Purpose::Read(1), V6(address(number)));
            }
            if hash % 8 == 0 && reader.is_none() {
                reader = state.enter(Purpose::Read(1), client(1)).ok();
                refusals[reads] += u32::from(reader.is_none());
            }
            if let Some(decided) = serve(&mut state).iter().find(|it| reader == Some(it.ticket)) {
                reader = None;
                let is_served = decided.called == Some(Ok(()));
                refusals[reads] += u32::from(!is_served);
                reads += usize::from(is_served);
            }
            if reads == refusals.len() {
                return refusals;
            }
        }
        panic!("only {reads} reads, after {refusals:?} refusals");
    }

    #[test]
    fn a_reader_who_comes_back_as_told_gets_in_whatever_others_do() {
        let from_one_48 = read_during_a_flood(|number| [0x2001, 0xdb8, 7, number]);
        assert!(from_one_48.iter().all(|refusals| *refusals <= 2), "{from_one_48:?}");
        let from_new_48s = read_during_a_flood(|number| [0x2001, 0xdb8, number, 0]);
        assert!(from_new_48s.iter().all(|refusals| *refusals <= 2), "{from_new_48s:?}");
        // Networks that come back, too: each goes once before the reader.
        let from_40_networks = read_during_a_flood(|number| [0x2001, 0xdb8, number % 40, number]);
        assert!(from_40_networks.iter().all(|refusals| *refusals <= 12), "{from_40_networks:?}");
    }

    fn wait_for(hashing: &Hashing, waiting: usize) {
        while hashing.lock().waiting.len() < waiting {
            yield_now();
        }
    }

    #[test]
    fn hashing_never_exceeds_its_cores() {
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

    /// More clients than there are places, which return as soon as they are served or rejected.
    #[test]
    fn busy_clients_do_not_starve_another() {
        for same_paste in [false, true] {
            let mut state = Hashing::with(1).state.into_inner().unwrap();
            let key_of = |number: u32| hash(("client", client(number)));
            let come = |state: &mut State, number: u32| {
                let paste = if same_paste { 0 } else { u64::from(number) };
                if !state.waiting.iter().any(|waiting| waiting.client == key_of(number)) {
                    let _ = state.enter(Purpose::Read(paste), client(number));
                }
            };
            let all_come = |state: &mut State| {
                for number in 0..u32::try_from(MAX_WAITING).unwrap() + 8 {
                    come(state, number);
                }
            };
            for _ in 0..200 {
                all_come(&mut state);
                serve(&mut state);
            }
            let (number, mut turns) = (1000, [0; 5]);
            for turns in &mut turns {
                let mut is_served = false;
                while !is_served && *turns < 100 {
                    all_come(&mut state);
                    come(&mut state, number);
                    is_served =
                        serve(&mut state).iter().any(|it| it.client == key_of(number) && it.called == Some(Ok(())));
                    *turns += 1;
                }
            }
            // A network that came back may go first.
            assert!(turns.iter().all(|turns| *turns <= 2), "{turns:?}, same paste: {same_paste}");
        }
    }

    #[test]
    fn fewest_turns_go_first_and_a_crowd_makes_room() {
        let (hashing, done, order) = (Hashing::with(1), AtomicBool::new(false), Mutex::new(Vec::new()));
        let refused = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            occupy(scope, &hashing, &done);
            // A crowd of one client fills the queue; then two others come, and one of the crowd comes back.
            for number in 0..MAX_WAITING + 3 {
                let is_other = (MAX_WAITING..MAX_WAITING + 2).contains(&number);
                let who = if is_other { u32::try_from(number).unwrap() } else { 1 };
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
            let entered = hashing.lock().enter(Purpose::Read(1), client(1));
            assert_eq!(entered, Err(Crowded), "the crowd itself is rejected");
            done.store(true, Ordering::SeqCst);
        });
        assert_eq!(refused.load(Ordering::SeqCst), 2);
        let order = order.lock().unwrap();
        assert_eq!(order.len(), MAX_WAITING + 1);
        let others = [MAX_WAITING, MAX_WAITING + 1].map(|number| u32::try_from(number).unwrap());
        assert!(others.iter().all(|other| order[..4].contains(other)), "{order:?}");
    }
}
