//! Walks a plan: starts what has all it needs, side by side, and lets nothing start
//! that needs what failed. It decides nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    event::{EventKind, millis},
    plan::{Action, Node, NodeId, Plan, Replica},
    spec::WorkerId,
};

use super::{
    Session, UpOptions,
    failure::{StepError, StepFailure},
    perform::Performer,
    shutdown::Urgency,
};

/// How many of a failed container's last lines are shown.
const LAST_LINES: usize = 10;

/// What to do when a step fails, and when to give up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    /// Workers other than the one that failed go on.
    pub(super) keep_going: bool,
    /// Everything must be done by then.
    pub(super) deadline: Option<Instant>,
    /// A signal does not end the walk: it is a teardown already.
    pub(super) is_teardown: bool,
}

impl Policy {
    /// For an `up` that begins now.
    pub(super) fn up(options: &UpOptions) -> Self {
        Self {
            keep_going: options.keep_going,
            deadline: options.wait_timeout.map(|limit| Instant::now() + limit),
            is_teardown: false,
        }
    }
}

/// What came of a plan.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Steps that failed by themselves, in time.
    pub(super) failures: Vec<StepFailure>,
    /// Containers that were not started because of them.
    pub(super) skipped: Vec<Replica>,
    /// The services and images that were still waited for at the deadline.
    pub(super) overdue: Option<Vec<String>>,
    /// A signal ended the walk.
    pub(super) interrupted: bool,
}

/// Walks `plan`.
pub(super) async fn execute(session: &Session, plan: &Plan, policy: Policy) -> Outcome {
    let mut walk = Walk {
        session,
        plan,
        policy,
        missing: plan.nodes.iter().map(|node| node.needs.len()).collect(),
        fate: vec![Fate::Open; plan.nodes.len()],
        stopped: BTreeSet::new(),
        stopped_all: false,
        outcome: Outcome::default(),
    };
    walk.run().await;
    walk.outcome
}

struct Walk<'a> {
    session: &'a Session,
    plan: &'a Plan,
    policy: Policy,
    /// How many needs of each node are still open.
    missing: Vec<usize>,
    fate: Vec<Fate>,
    /// Workers in which nothing more is begun.
    stopped: BTreeSet<Option<WorkerId>>,
    stopped_all: bool,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Not begun.
    Open,
    Running,
    Done,
    Failed,
    Skipped,
}

impl Walk<'_> {
    async fn run(&mut self) {
        let mut ready: Vec<NodeId> = (0..self.plan.nodes.len())
            .filter(|id| self.missing[*id] == 0)
            .collect();
        let performer = Performer::new(self.session, self.plan);
        let cancel = Cancel::default();
        let mut running = FuturesUnordered::new();
        loop {
            for id in std::mem::take(&mut ready) {
                if self.may_begin(id) {
                    self.fate[id] = Fate::Running;
                    let token = cancel.of(self.plan.nodes[id].action.worker());
                    let (performer, plan) = (&performer, self.plan);
                    running.push(async move { (id, perform(performer, plan, id, &token).await) });
                } else {
                    self.settle(id, Fate::Skipped, &mut ready);
                }
            }
            if !ready.is_empty() {
                continue;
            }
            if running.is_empty() {
                break;
            }
            tokio::select! {
                Some((id, result)) = running.next() => {
                    let fate = match result {
                        Ok(()) => Fate::Done,
                        Err(why) => self.failed(id, why, &cancel),
                    };
                    self.settle(id, fate, &mut ready);
                }
                () = until(self.policy.deadline), if self.outcome.overdue.is_none() => {
                    self.outcome.overdue = Some(self.awaited());
                    self.stop_all(&cancel);
                }
                () = self.session.shutdown.reached(Urgency::Graceful),
                    if !self.policy.is_teardown && !self.outcome.interrupted =>
                {
                    self.outcome.interrupted = true;
                    self.stop_all(&cancel);
                }
            }
        }
        self.report_skipped();
    }

    fn may_begin(&self, id: NodeId) -> bool {
        let node = &self.plan.nodes[id];
        let stopped = self.stopped_all || self.stopped.contains(&node.action.worker());
        let lacks = |need: &crate::plan::Need| !need.optional && self.fate[need.node] != Fate::Done;
        !stopped && !node.needs.iter().any(lacks)
    }

    /// Notes a node's fate, and finds those that have waited for it alone.
    fn settle(&mut self, id: NodeId, fate: Fate, ready: &mut Vec<NodeId>) {
        self.fate[id] = fate;
        for (other, node) in self.plan.nodes.iter().enumerate() {
            let satisfied = node.needs.iter().filter(|need| need.node == id).count();
            if satisfied > 0 {
                self.missing[other] -= satisfied;
                if self.missing[other] == 0 {
                    ready.push(other);
                }
            }
        }
    }

    fn failed(&mut self, id: NodeId, why: StepError, cancel: &Cancel) -> Fate {
        use crate::probe::NotReady;
        let node = &self.plan.nodes[id];
        if matches!(
            why,
            StepError::Cancelled | StepError::NotReady(NotReady::Cancelled)
        ) {
            return Fate::Skipped;
        }
        if let Some(replica) = node.action.replica() {
            let reason = crate::error::chain(&why);
            self.session.sink.service(
                replica.worker,
                &replica.service,
                EventKind::Failed { reason },
            );
        }
        if node.tolerated {
            let message = format!(
                "{}: {}; going on without it",
                node.action,
                crate::error::chain(&why)
            );
            self.session
                .sink
                .emit(node.action.worker(), None, EventKind::Warning { message });
            return Fate::Failed;
        }
        let failure = self.describe(id, node, why);
        self.outcome.failures.push(failure);
        if !self.policy.is_teardown {
            match node.action.worker() {
                Some(worker) if self.policy.keep_going => {
                    self.stopped.insert(Some(worker));
                    cancel.of(Some(worker)).cancel();
                }
                _ => self.stop_all(cancel),
            }
        }
        Fate::Failed
    }

    fn describe(&self, id: NodeId, node: &Node, why: StepError) -> StepFailure {
        let replica = node.action.replica();
        let target = replica.map(|replica| self.session.logs.target(replica));
        StepFailure {
            action: node.action.clone(),
            why,
            last_lines: target
                .map(|target| target.last_lines(LAST_LINES))
                .unwrap_or_default(),
            dependents: self.dependents(id),
        }
    }

    /// The containers whose start comes after a node.
    fn dependents(&self, id: NodeId) -> Vec<Replica> {
        let mut reached = BTreeSet::from([id]);
        let mut dependents = BTreeSet::new();
        let own = self.plan.nodes[id].action.replica();
        for (other, node) in self.plan.nodes.iter().enumerate() {
            if node
                .needs
                .iter()
                .any(|need| !need.optional && reached.contains(&need.node))
            {
                reached.insert(other);
                dependents.extend(
                    node.action
                        .replica()
                        .filter(|replica| Some(*replica) != own)
                        .cloned(),
                );
            }
        }
        dependents.into_iter().collect()
    }

    fn stop_all(&mut self, cancel: &Cancel) {
        self.stopped_all = true;
        cancel.all.cancel();
    }

    fn awaited(&self) -> Vec<String> {
        let is_open =
            |(id, _): &(usize, &Node)| matches!(self.fate[*id], Fate::Open | Fate::Running);
        let open = self.plan.nodes.iter().enumerate().filter(is_open);
        let name = |(_, node): (usize, &Node)| {
            let image = node
                .action
                .image()
                .map(|(image, _)| format!("image {image}"));
            let replica = node.action.replica().map(ToString::to_string);
            image.or(replica)
        };
        let names: BTreeSet<_> = open.filter_map(name).collect();
        names.into_iter().collect()
    }

    fn report_skipped(&mut self) {
        let Some(first) = self.outcome.failures.first() else {
            return;
        };
        let because = first
            .action
            .replica()
            .map_or_else(|| first.action.to_string(), ToString::to_string);
        for (id, node) in self.plan.nodes.iter().enumerate() {
            let Action::StartContainer { replica, .. } = &node.action else {
                continue;
            };
            if self.fate[id] == Fate::Skipped {
                let because = because.clone();
                let kind = EventKind::Skipped { because };
                self.session
                    .sink
                    .service(replica.worker, &replica.service, kind);
                self.outcome.skipped.push(replica.clone());
            }
        }
    }
}

async fn perform(
    performer: &Performer<'_>,
    plan: &Plan,
    step: NodeId,
    cancel: &CancellationToken,
) -> Result<(), StepError> {
    let node = &plan.nodes[step];
    let (action, target) = (
        node.action.verb().to_owned(),
        node.action.target().to_owned(),
    );
    let sink = performer.sink();
    let replica = node.action.replica();
    let (worker, service) = (
        node.action.worker(),
        replica.map(|replica| replica.service.clone()),
    );
    let started = EventKind::StepStarted {
        step,
        action: action.clone(),
        target: target.clone(),
    };
    sink.emit(worker, service.clone(), started);
    let begin = Instant::now();
    let result = performer.perform(&node.action, cancel).await;
    let error = result
        .as_ref()
        .err()
        .map(|error| crate::error::chain(error));
    let took_ms = millis(begin.elapsed());
    sink.emit(
        worker,
        service,
        EventKind::StepFinished {
            step,
            action,
            target,
            took_ms,
            error,
        },
    );
    result
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Gives up waits, pulls and builds: those of one worker, or all. Other engine calls are
/// never cut off: a container whose creation was interrupted might still come into being,
/// and nobody would know of it.
#[derive(Default)]
struct Cancel {
    all: CancellationToken,
    workers: Mutex<BTreeMap<Option<WorkerId>, CancellationToken>>,
}

impl Cancel {
    fn of(&self, worker: Option<WorkerId>) -> CancellationToken {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers
            .entry(worker)
            .or_insert_with(|| self.all.child_token())
            .clone()
    }
}
