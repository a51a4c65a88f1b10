//! Which task is worked on next, and where. Pure: the store keeps the tasks, the runtime starts what works on them.
//!
//! Of each queue and class only the first few tasks that can be started are here, the window, in the order of their
//! numbers; the store has the others, and is asked for more when the window runs low. Who works is a crew: the slots of
//! one worker, each of which has room for one task, or for several. A crew takes from one queue or from several.
//!
//! A queue that others take from as well has no window: what is here of it is nobody else's, and would wait here while others
//! have nothing to do. A crew with a free slot wishes for one task of it at a time, and what comes and cannot begin at once goes
//! back.

use super::priority::{Slots, Turns, promote};
use super::{Class, Task, TaskId};
use crate::clock::Wall;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// The store is asked for more when a window holds fewer, and fewer bytes than are asked for at once.
const WINDOW_LOW: usize = 64;
/// So many tasks are asked for at once.
pub const FETCH_TASKS: u32 = 256;
/// No more when their payloads have so many bytes; one in any case.
pub const FETCH_BYTES: u64 = 1 << 20;

/// A queue, by its place among those that were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u32);

/// A crew, by its place among those that were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CrewId(pub u32);

/// One slot of a crew, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Whose.
    pub crew: CrewId,
    /// Which.
    pub number: u32,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the store for the next waiting tasks of a queue and class, those behind this one; answered by `fetched`.
    Fetch {
        /// Which queue.
        queue: QueueId,
        /// Which class.
        class: Class,
        /// Behind which.
        after: TaskId,
    },
    /// This slot works on this task; ended by `free`.
    Begin {
        /// Where.
        slot: Slot,
        /// From where.
        queue: QueueId,
        /// What.
        task: Task,
    },
    /// A crew can take a task of the first of these shared queues and classes that has one, answered by `came` when there is one.
    /// This takes the place of what the crew has wished for before; nothing is wished for any more where these are none.
    Wish {
        /// Who.
        crew: CrewId,
        /// From where, in this order.
        from: Vec<(QueueId, Class)>,
    },
    /// A task of a shared queue that has come cannot begin here now: it goes back to those who share the queue.
    Release {
        /// To where.
        queue: QueueId,
        /// Which.
        id: TaskId,
    },
}

/// All queues, and those who work on their tasks.
#[derive(Debug, Default)]
pub struct Queues {
    queues: Vec<Queue>,
    crews: Vec<Crew>,
}

/// What is here of a queue.
#[derive(Debug)]
struct Queue {
    windows: [Window; 3],
    /// A low task that has waited so long counts as a normal one.
    max_wait: Duration,
    paused: bool,
    /// Others take from it, too.
    shared: bool,
}

/// The first tasks of one class.
#[derive(Debug, Default)]
struct Window {
    tasks: VecDeque<Task>,
    /// All that wait and are not behind this one are here.
    after: TaskId,
    /// The store may have more behind that.
    more: bool,
    /// What it was asked, and has not answered.
    asked: Option<TaskId>,
}

#[derive(Debug)]
struct Crew {
    queues: Vec<QueueId>,
    slots: Slots,
    turns: Turns,
    /// Which queue is looked at first: each in turn.
    first: usize,
    /// Whether it takes tasks at all.
    open: bool,
    seats: Vec<Seat>,
    /// Which seats have room, those first that have least to do.
    free: BTreeSet<(u32, u32)>,
    /// How many seats have tasks of class high alone, and how many have others.
    high: u32,
    others: u32,
    /// What it has wished for of shared queues.
    wish: Vec<(QueueId, Class)>,
}

/// What a slot is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seat {
    /// So many tasks it can have at once; none while it is away.
    room: u32,
    /// How many it has: of class high, and others.
    high: u32,
    others: u32,
}

impl Queues {
    /// Without queues and crews.
    #[must_use]
    pub fn new() -> Queues {
        Queues::default()
    }

    /// Takes a queue in, which others take from, too, where it is shared. What the store has of it is asked for when somebody can
    /// work on it.
    pub fn add_queue(&mut self, max_wait: Duration, shared: bool) -> QueueId {
        let windows = std::array::from_fn(|_| Window { more: !shared, ..Window::default() });
        self.queues.push(Queue { windows, max_wait, paused: false, shared });
        QueueId(self.queues.len() as u32 - 1)
    }

    /// Takes a crew in, which works on the tasks of these queues. Its slots are away until `room` says otherwise.
    pub fn add_crew(&mut self, queues: Vec<QueueId>, slots: Slots) -> CrewId {
        let seats = vec![Seat::default(); slots.total as usize];
        let (turns, free, wish) = (Turns::default(), BTreeSet::new(), Vec::new());
        self.crews.push(Crew { queues, slots, turns, first: 0, open: true, seats, free, high: 0, others: 0, wish });
        CrewId(self.crews.len() as u32 - 1)
    }

    /// Nobody is given tasks of this queue any more, or somebody is again.
    pub fn pause(&mut self, queue: QueueId, paused: bool) {
        self.queues[queue.0 as usize].paused = paused;
    }

    /// Whether a crew takes tasks.
    pub fn open(&mut self, crew: CrewId, open: bool) {
        self.crews[crew.0 as usize].open = open;
    }

    /// A slot can have so many tasks at once from now on; none while it is away. Those that it has, it keeps.
    pub fn room(&mut self, slot: Slot, tasks: u32) {
        self.crews[slot.crew.0 as usize].change(slot.number, |seat| seat.room = tasks);
    }

    /// A slot has a task already, of this class.
    pub fn occupy(&mut self, slot: Slot, class: Class) {
        self.crews[slot.crew.0 as usize].change(slot.number, |seat| *seat.of(class) += 1);
    }

    /// A slot has dealt with one of its tasks, of this class.
    pub fn free(&mut self, slot: Slot, class: Class) {
        self.crews[slot.crew.0 as usize].change(slot.number, |seat| *seat.of(class) -= 1);
    }

    /// How many queues there are.
    #[must_use]
    pub fn queues(&self) -> usize {
        self.queues.len()
    }

    /// Tasks can be started that could not be, this one before all others: they were put, or are due, or were given back.
    pub fn fresh(&mut self, queue: QueueId, class: Class, first: TaskId) {
        if self.queues[queue.0 as usize].shared {
            return;
        }
        let window = self.window(queue, class);
        window.more = true;
        if first <= window.after {
            window.tasks.retain(|task| task.id < first);
            window.after = TaskId(first.0 - 1);
        }
    }

    /// The store has answered: what waits behind the task that it was told, in order.
    pub fn fetched(&mut self, queue: QueueId, class: Class, tasks: Vec<Task>) {
        let window = self.window(queue, class);
        // What has become startable before that since is still to be asked for, and this again behind it.
        if window.asked.take() == Some(window.after) {
            window.more |= !tasks.is_empty();
            window.after = tasks.last().map_or(window.after, |task| task.id);
            window.tasks.extend(tasks);
        }
    }

    /// What a crew wished for has come, as far as there was something; its wish is over.
    pub fn came(&mut self, crew: CrewId, tasks: Vec<(QueueId, Task)>) {
        self.crews[crew.0 as usize].wish.clear();
        for (queue, task) in tasks {
            self.window(queue, task.class).tasks.push_back(task);
        }
    }

    /// When the oldest of the tasks was put that are here.
    #[must_use]
    pub fn oldest(&self, queue: QueueId) -> Option<Wall> {
        let windows = &self.queues.get(queue.0 as usize)?.windows;
        windows.iter().filter_map(|window| window.tasks.front()).map(|task| task.put).min()
    }

    /// The store could not answer: it is to be asked again.
    pub fn refused(&mut self, queue: QueueId, class: Class) {
        let window = self.window(queue, class);
        (window.asked, window.more) = (None, true);
    }

    fn window(&mut self, queue: QueueId, class: Class) -> &mut Window {
        &mut self.queues[queue.0 as usize].windows[class as usize]
    }

    /// Gives tasks to slots until there are none left of either, and asks the store for more of what runs low.
    pub fn settle(&mut self, now: Wall, effects: &mut Vec<Effect>) {
        for number in 0..self.crews.len() {
            if self.crews[number].open {
                while let Some(begin) = self.next(CrewId(number as u32), now) {
                    effects.push(begin);
                }
                self.refill(number, effects);
            }
        }
        self.release(effects);
        for (number, crew) in (0..).zip(&mut self.crews) {
            let from = crew.wishes(&self.queues);
            if from != crew.wish {
                crew.wish.clone_from(&from);
                effects.push(Effect::Wish { crew: CrewId(number), from });
            }
        }
    }

    /// Gives back what is here of shared queues: it could not begin.
    fn release(&mut self, effects: &mut Vec<Effect>) {
        for (number, queue) in (0..).zip(&mut self.queues).filter(|(_, queue)| queue.shared) {
            let tasks = queue.windows.iter_mut().flat_map(|window| window.tasks.drain(..));
            effects.extend(tasks.map(|task| Effect::Release { queue: QueueId(number), id: task.id }));
        }
    }

    /// Seats a task that is about to be put, where a slot is free and nothing waits that the slot could begin instead: the slot,
    /// which has it from now on. Of a queue that others take from, too, none is: what is put there is for whoever takes it.
    pub fn claim(&mut self, queue: QueueId, class: Class) -> Option<Slot> {
        let Queues { queues, crews } = self;
        let takers = crews.iter_mut().enumerate().filter(|(_, crew)| crew.open && crew.queues.contains(&queue));
        let is_open = |queue: &Queue| !queue.paused && !queue.shared;
        takers.filter(|_| is_open(&queues[queue.0 as usize])).find_map(|(id, crew)| {
            let number = crew.seat_for(class)?;
            let is_idle = |queue: &QueueId| queues[queue.0 as usize].is_idle(|class| crew.seat_for(class).is_some());
            if !crew.queues.iter().all(is_idle) {
                return None;
            }
            crew.turns.next(|ready| ready == class);
            crew.first = (crew.first + 1) % crew.queues.len();
            crew.change(number, |seat| *seat.of(class) += 1);
            Some(Slot { crew: CrewId(id as u32), number })
        })
    }

    /// The next task of a crew, and the slot that is to work on it.
    fn next(&mut self, id: CrewId, now: Wall) -> Option<Effect> {
        let crew = &mut self.crews[id.0 as usize];
        crew.free.first()?;
        let queues = &mut self.queues;
        let offers = |class: Class| {
            let in_turn = (0..crew.queues.len()).map(|at| crew.queues[(crew.first + at) % crew.queues.len()]);
            in_turn.filter_map(|queue| Some((queue, queues[queue.0 as usize].offer(class, now)?))).next()
        };
        let mut turns = crew.turns;
        let class = turns.next(|class| offers(class).is_some() && crew.seat_for(class).is_some());
        crew.turns = turns;
        let class = class?;
        let (number, (queue, from)) = (crew.seat_for(class)?, offers(class)?);
        let task = queues[queue.0 as usize].windows[from as usize].tasks.pop_front()?;
        crew.first = (crew.first + 1) % crew.queues.len();
        crew.change(number, |seat| *seat.of(from) += 1);
        Some(Effect::Begin { slot: Slot { crew: id, number }, queue, task })
    }

    fn refill(&mut self, crew: usize, effects: &mut Vec<Effect>) {
        for queue in &self.crews[crew].queues {
            let Queue { windows, paused, shared, .. } = &mut self.queues[queue.0 as usize];
            let low = windows.iter_mut().zip(Class::ALL).filter(|(window, _)| !*paused && !*shared && window.is_low());
            for (window, class) in low {
                (window.asked, window.more) = (Some(window.after), false);
                effects.push(Effect::Fetch { queue: *queue, class, after: window.after });
            }
        }
    }
}

impl Crew {
    /// From where it can take a task of a shared queue: of the class whose turn it is first, of each queue in turn.
    fn wishes(&self, queues: &[Queue]) -> Vec<(QueueId, Class)> {
        if !self.open || self.free.is_empty() {
            return Vec::new();
        }
        let (mut turns, mut classes) = (self.turns, Vec::new());
        while let Some(class) = turns.next(|class| !classes.contains(&class) && self.seat_for(class).is_some()) {
            classes.push(class);
        }
        let in_turn = (0..self.queues.len()).map(|at| self.queues[(self.first + at) % self.queues.len()]);
        let open = |queue: &QueueId| queues[queue.0 as usize].shared && !queues[queue.0 as usize].paused;
        let shared: Vec<_> = in_turn.filter(open).collect();
        classes.iter().flat_map(|class| shared.iter().map(|queue| (*queue, *class))).collect()
    }

    /// The seat with least to do that may have one more task of a class.
    fn seat_for(&self, class: Class) -> Option<u32> {
        let may = |number: &u32| {
            let seat = self.seats[*number as usize];
            // A seat that has normal or low tasks already may have more of them: it is one that is not reserved.
            let (high, others) = (self.high - u32::from(seat.is_high()), self.others - u32::from(seat.others > 0));
            self.slots.may_start(class, high, others)
        };
        self.free.iter().map(|(_, number)| *number).find(may)
    }

    fn change(&mut self, number: u32, change: impl FnOnce(&mut Seat)) {
        let seat = &mut self.seats[number as usize];
        let before = *seat;
        change(seat);
        let after = *seat;
        self.high = self.high + u32::from(after.is_high()) - u32::from(before.is_high());
        self.others = self.others + u32::from(after.others > 0) - u32::from(before.others > 0);
        self.free.remove(&(before.load(), number));
        if after.load() < after.room {
            self.free.insert((after.load(), number));
        }
    }
}

impl Seat {
    fn load(self) -> u32 {
        self.high + self.others
    }

    /// It has tasks of class high alone.
    fn is_high(self) -> bool {
        self.high > 0 && self.others == 0
    }

    fn of(&mut self, class: Class) -> &mut u32 {
        if class == Class::High { &mut self.high } else { &mut self.others }
    }
}

impl Window {
    /// Nothing waits, as far as is known, and all is known.
    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && !self.more && self.asked.is_none()
    }

    fn is_low(&self) -> bool {
        let bytes = || self.tasks.iter().map(|task| task.payload.len() as u64).sum::<u64>();
        self.more && self.asked.is_none() && self.tasks.len() < WINDOW_LOW && bytes() < FETCH_BYTES
    }
}

impl Queue {
    /// Whether nothing waits, here or in the store, of the classes that count.
    fn is_idle(&self, counts: impl Fn(Class) -> bool) -> bool {
        let mut all = self.windows.iter().zip(Class::ALL);
        self.paused || all.all(|(window, class)| window.is_empty() || !counts(class))
    }

    /// Of which class the next task is that counts as one of this class.
    fn offer(&self, class: Class, now: Wall) -> Option<Class> {
        let counts = |from: Class| {
            let task = self.windows[from as usize].tasks.front()?;
            (promote(from, now.until(task.put), self.max_wait) == class).then_some((task.put, from))
        };
        if self.paused {
            return None;
        }
        Class::ALL.into_iter().filter_map(counts).min().map(|(_, from)| from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const MAX_WAIT: Duration = Duration::from_secs(300);

    fn task(id: u64, class: Class, put: i64) -> Task {
        Task { id: TaskId(id), class, attempt: 0, put: Wall(put), trace: None, payload: Box::default() }
    }

    fn slots(total: u32, high: u32) -> Slots {
        Slots { total, high }
    }

    /// The store: what waits in it.
    #[derive(Default)]
    struct Store(BTreeMap<u64, Task>);

    /// A queue, a crew with free slots, and the store.
    struct Scene {
        queues: Queues,
        queue: QueueId,
        crew: CrewId,
        store: Store,
    }

    impl Scene {
        fn new(slots: Slots) -> Scene {
            let mut queues = Queues::new();
            let queue = queues.add_queue(MAX_WAIT, false);
            let crew = queues.add_crew(vec![queue], slots);
            (0..slots.total).for_each(|number| queues.room(Slot { crew, number }, 1));
            Scene { queues, queue, crew, store: Store::default() }
        }

        fn wait(&mut self, id: u64, class: Class, put: i64) {
            self.store.0.insert(id, task(id, class, put));
            self.queues.fresh(self.queue, class, TaskId(id));
        }

        /// The slot has dealt with its task.
        fn free(&mut self, number: u32) {
            self.free_of(number, Class::Normal);
        }

        fn free_of(&mut self, number: u32, class: Class) {
            self.queues.free(Slot { crew: self.crew, number }, class);
        }

        /// What is begun, by slot and task, until nothing is asked for any more.
        fn begun(&mut self, now: Wall) -> Vec<(u32, u64)> {
            let mut begun = Vec::new();
            loop {
                let mut effects = Vec::new();
                self.queues.settle(now, &mut effects);
                let mut asked = false;
                for effect in effects {
                    match effect {
                        Effect::Begin { slot, task, .. } => {
                            assert!(self.store.0.remove(&task.id.0).is_some(), "{task:?} does not wait");
                            begun.push((slot.number, task.id.0));
                        }
                        Effect::Fetch { queue, class, after } => {
                            let behind = self.store.0.range(after.0 + 1..).map(|(_, task)| task);
                            let found = behind.filter(|task| task.class == class).take(FETCH_TASKS as usize).cloned();
                            self.queues.fetched(queue, class, found.collect());
                            asked = true;
                        }
                        Effect::Wish { .. } | Effect::Release { .. } => panic!("{effect:?}: nobody shares the queue"),
                    }
                }
                if !asked {
                    return begun;
                }
            }
        }
    }

    #[test]
    fn a_task_that_is_put_goes_to_a_free_slot() {
        let mut scene = Scene::new(slots(2, 0));
        (1..=3).for_each(|id| scene.wait(id, Class::Normal, 0));
        assert_eq!(scene.begun(Wall(0)), [(0, 1), (1, 2)]);
        scene.free(1);
        assert_eq!(scene.begun(Wall(0)), [(1, 3)]);
        scene.free(0);
        assert_eq!(scene.begun(Wall(0)), []);
    }

    #[test]
    fn what_is_given_back_comes_before_what_is_behind_it() {
        let mut scene = Scene::new(slots(1, 0));
        (1..=4).for_each(|id| scene.wait(id, Class::Normal, 0));
        assert_eq!(scene.begun(Wall(0)), [(0, 1)]);
        scene.wait(1, Class::Normal, 0);
        for id in 1..=4 {
            scene.free(0);
            assert_eq!(scene.begun(Wall(0)), [(0, id)]);
        }
    }

    #[test]
    fn an_answer_that_has_been_overtaken_is_asked_for_again() {
        let mut scene = Scene::new(slots(1, 0));
        (5..=6).for_each(|id| scene.wait(id, Class::Normal, 0));
        assert_eq!(scene.begun(Wall(0)), [(0, 5)]);
        scene.wait(9, Class::Normal, 0);
        let mut effects = Vec::new();
        scene.queues.settle(Wall(0), &mut effects);
        assert_eq!(effects, [Effect::Fetch { queue: scene.queue, class: Class::Normal, after: TaskId(6) }]);
        // While that is under way, another is given back.
        scene.wait(3, Class::Normal, 0);
        scene.queues.fetched(scene.queue, Class::Normal, vec![task(9, Class::Normal, 0)]);
        for id in [3, 6, 9] {
            scene.free(0);
            assert_eq!(scene.begun(Wall(0)), [(0, id)]);
        }
    }

    #[test]
    fn a_window_is_bounded() {
        let mut scene = Scene::new(slots(1, 0));
        let count = 3 * u64::from(FETCH_TASKS);
        (1..=count).for_each(|id| scene.wait(id, Class::Low, 0));
        for id in 1..=count {
            assert_eq!(scene.begun(Wall(0)), [(0, id)]);
            scene.free(0);
            let here = scene.queues.queues[0].windows[Class::Low as usize].tasks.len();
            assert!(here <= FETCH_TASKS as usize + WINDOW_LOW, "{here}");
        }
    }

    #[test]
    fn high_has_slots_of_its_own() {
        let mut scene = Scene::new(slots(3, 1));
        (1..=3).for_each(|id| scene.wait(id, Class::Low, 0));
        assert_eq!(scene.begun(Wall(0)), [(0, 1), (1, 2)]);
        scene.wait(4, Class::High, 0);
        assert_eq!(scene.begun(Wall(0)), [(2, 4)]);
        scene.free_of(2, Class::High);
        assert_eq!(scene.begun(Wall(0)), []);
    }

    #[test]
    fn a_slot_may_have_several() {
        let mut scene = Scene::new(slots(3, 1));
        (0..3).for_each(|number| scene.queues.room(Slot { crew: scene.crew, number }, 2));
        (1..=6).for_each(|id| scene.wait(id, Class::Low, 0));
        assert_eq!(scene.begun(Wall(0)), [(0, 1), (1, 2), (0, 3), (1, 4)], "one slot is not for them");
        (7..=9).for_each(|id| scene.wait(id, Class::High, 0));
        assert_eq!(scene.begun(Wall(0)), [(2, 7), (2, 8)]);
        scene.free(1);
        assert_eq!(scene.begun(Wall(0)), [(1, 9)], "high comes first wherever there is room");
        scene.free(0);
        scene.queues.room(Slot { crew: scene.crew, number: 0 }, 1);
        assert_eq!(scene.begun(Wall(0)), [], "it has as many as it may");
        scene.free(0);
        assert_eq!(scene.begun(Wall(0)), [(0, 5)]);
    }

    /// E7: what is low becomes normal with time, and comes when it would have come then.
    #[test]
    fn low_is_promoted() {
        let mut scene = Scene::new(slots(1, 0));
        scene.wait(1, Class::Low, 0);
        scene.wait(2, Class::Normal, 1);
        scene.wait(3, Class::Normal, 2);
        let late = Wall(0).after(MAX_WAIT);
        for id in 1..=3 {
            assert_eq!(scene.begun(late), [(0, id)]);
            scene.free(0);
        }
    }

    #[test]
    fn what_can_start_at_once_is_seated_before_it_is_put() {
        let mut scene = Scene::new(slots(3, 1));
        let claimed = |scene: &mut Scene, class| scene.queues.claim(scene.queue, class).map(|slot| slot.number);
        assert_eq!(claimed(&mut scene, Class::Normal), None, "what waits in the store is not known yet");
        assert_eq!(scene.begun(Wall(0)), []);
        assert_eq!([Class::Normal; 2].map(|class| claimed(&mut scene, class)), [Some(0), Some(1)]);
        assert_eq!(claimed(&mut scene, Class::Low), None, "the last slot is reserved");
        scene.wait(1, Class::Low, 0);
        assert_eq!(claimed(&mut scene, Class::High), Some(2), "what waits could not have it");
        scene.free(0);
        assert_eq!(claimed(&mut scene, Class::Normal), None, "another waits for the slot");
        assert_eq!(scene.begun(Wall(0)), [(0, 1)]);
        scene.free(0);
        scene.queues.pause(scene.queue, true);
        assert_eq!(claimed(&mut scene, Class::Normal), None);
        scene.queues.pause(scene.queue, false);
        scene.queues.open(scene.crew, false);
        assert_eq!(claimed(&mut scene, Class::Normal), None);
        scene.queues.open(scene.crew, true);
        assert_eq!(claimed(&mut scene, Class::Normal), Some(0));
    }

    #[test]
    fn who_is_paused_closed_or_away_begins_nothing() {
        let mut scene = Scene::new(slots(1, 0));
        let (queue, crew) = (scene.queue, scene.crew);
        scene.wait(1, Class::Normal, 0);
        scene.queues.pause(queue, true);
        assert_eq!(scene.begun(Wall(0)), []);
        scene.queues.pause(queue, false);
        scene.queues.open(crew, false);
        assert_eq!(scene.begun(Wall(0)), []);
        scene.queues.open(crew, true);
        scene.queues.room(Slot { crew, number: 0 }, 0);
        assert_eq!(scene.begun(Wall(0)), []);
        scene.queues.room(Slot { crew, number: 0 }, 1);
        assert_eq!(scene.begun(Wall(0)), [(0, 1)]);
    }

    #[test]
    fn large_payloads_are_not_kept_by_the_dozen() {
        let mut scene = Scene::new(slots(1, 0));
        for id in 1..=4 {
            let large = Task { payload: vec![0; FETCH_BYTES as usize / 2].into(), ..task(id, Class::Normal, 0) };
            scene.wait(id, Class::Normal, 0);
            scene.store.0.insert(id, large);
        }
        let mut effects = Vec::new();
        scene.queues.settle(Wall(0), &mut effects);
        let found = || scene.store.0.values().take(3).cloned().collect::<Vec<_>>();
        scene.queues.fetched(scene.queue, Class::Normal, found());
        assert_eq!(scene.begun(Wall(0)), [(0, 1)], "and two are enough for now");
        let here = |scene: &mut Scene| scene.queues.window(scene.queue, Class::Normal).tasks.len();
        assert_eq!(here(&mut scene), 2);
        scene.free(0);
        assert_eq!(scene.begun(Wall(0)), [(0, 2)]);
        assert_eq!(here(&mut scene), 2, "now there is one more");
    }

    #[test]
    fn queues_take_turns() {
        let mut queues = Queues::new();
        let both = vec![queues.add_queue(MAX_WAIT, false), queues.add_queue(MAX_WAIT, false)];
        let crew = queues.add_crew(both.clone(), slots(1, 0));
        queues.settle(Wall(0), &mut Vec::new());
        for (queue, first) in both.iter().zip([1, 11]) {
            queues.fetched(*queue, Class::Normal, (first..first + 3).map(|id| task(id, Class::Normal, 0)).collect());
        }
        let order = (0..6).map(|_| {
            let mut effects = Vec::new();
            let slot = Slot { crew, number: 0 };
            queues.room(slot, 1);
            queues.settle(Wall(0), &mut effects);
            queues.free(slot, Class::Normal);
            let begun = effects.into_iter().find_map(|effect| match effect {
                Effect::Begin { task, .. } => Some(task.id.0),
                _ => None,
            });
            begun.unwrap()
        });
        assert_eq!(order.collect::<Vec<_>>(), [1, 11, 2, 12, 3, 13]);
    }

    /// A shared queue, a crew with free slots, and what is done.
    fn shared(slots: Slots) -> (Queues, QueueId, CrewId) {
        let mut queues = Queues::new();
        let queue = queues.add_queue(MAX_WAIT, true);
        let crew = queues.add_crew(vec![queue], slots);
        (0..slots.total).for_each(|number| queues.room(Slot { crew, number }, 1));
        (queues, queue, crew)
    }

    fn settled(queues: &mut Queues) -> Vec<Effect> {
        let mut effects = Vec::new();
        queues.settle(Wall(0), &mut effects);
        effects
    }

    fn wish(crew: CrewId, queue: QueueId, classes: &[Class]) -> Effect {
        Effect::Wish { crew, from: classes.iter().map(|class| (queue, *class)).collect() }
    }

    #[test]
    fn of_a_shared_queue_a_task_is_taken_for_each_free_slot() {
        let (mut queues, queue, crew) = shared(slots(2, 0));
        let begin = |number, id| Effect::Begin { slot: Slot { crew, number }, queue, task: task(id, Class::Normal, 0) };
        assert_eq!(settled(&mut queues), [wish(crew, queue, &Class::ALL)]);
        assert_eq!(settled(&mut queues), [], "it is wished for once");
        assert_eq!(queues.claim(queue, Class::Normal), None, "what is put there is anybody's");
        queues.fresh(queue, Class::Normal, TaskId(7));
        assert_eq!(settled(&mut queues), []);
        queues.came(crew, vec![(queue, task(7, Class::Normal, 0))]);
        assert_eq!(settled(&mut queues), [begin(0, 7), wish(crew, queue, &Class::ALL)]);
        queues.came(crew, Vec::new());
        assert_eq!(settled(&mut queues), [wish(crew, queue, &Class::ALL)], "what came was damaged");
        queues.came(crew, vec![(queue, task(8, Class::Normal, 0)), (queue, task(9, Class::Low, 0))]);
        let goes_back = Effect::Release { queue, id: TaskId(9) };
        assert_eq!(settled(&mut queues), [begin(1, 8), goes_back], "nothing waits here, and nothing is wished for");
        queues.free(Slot { crew, number: 0 }, Class::Normal);
        assert_eq!(settled(&mut queues), [wish(crew, queue, &Class::ALL)]);
    }

    #[test]
    fn a_wish_is_withdrawn() {
        let (mut queues, queue, crew) = shared(slots(1, 0));
        for (close, open) in [
            (Queues::pause as fn(&mut Queues, QueueId, bool), true),
            (|queues, _, closed| queues.open(CrewId(0), !closed), true),
        ] {
            assert_eq!(settled(&mut queues), [wish(crew, queue, &Class::ALL)]);
            close(&mut queues, queue, open);
            assert_eq!(settled(&mut queues), [wish(crew, queue, &[])]);
            // It was on its way.
            queues.came(crew, vec![(queue, task(1, Class::High, 0))]);
            assert_eq!(settled(&mut queues), [Effect::Release { queue, id: TaskId(1) }]);
            close(&mut queues, queue, !open);
        }
    }

    /// E7: with slots that are reserved and turns that are used up, other classes are looked for first, or none but high.
    #[test]
    fn what_is_wished_for_is_in_turn() {
        let (mut queues, queue, crew) = shared(slots(2, 1));
        settled(&mut queues);
        queues.came(crew, vec![(queue, task(1, Class::Low, 0))]);
        assert_eq!(settled(&mut queues)[1], wish(crew, queue, &[Class::High]), "the other slot is reserved");
        let (mut queues, queue, crew) = shared(slots(1, 0));
        let mut first = Vec::new();
        for id in 1..=21 {
            let wished = settled(&mut queues).pop();
            let Some(Effect::Wish { from, .. }) = wished else { panic!("{wished:?}") };
            assert_eq!(from.len(), 3, "whichever it is, one of them comes");
            first.push(from[0].1);
            queues.came(crew, vec![(queue, task(id, from[0].1, 0))]);
            settled(&mut queues);
            queues.free(Slot { crew, number: 0 }, from[0].1);
        }
        assert_eq!(first, [vec![Class::High; 16], vec![Class::Normal; 4], vec![Class::Low]].concat());
    }
}
