/// Which wait of a run a delivery ends: the task that waits, and the host call of that task.
///
/// It is the same in every run of the same script, whatever finishes first.
public struct DeliveryID: Hashable, Sendable, LosslessStringConvertible {
    /// The task that waits.
    public let task: TaskPath
    /// The host call of that task that waits, from 1.
    ///
    /// It is ``CallContext/ordinal``; opening a scope is a call too. For a wait that is no call of its own (`task:wait`, `require`), the last call before it; 0 when there is none.
    public let ordinal: Int

    /// Names a wait.
    public init(task: TaskPath, ordinal: Int) {
        self.task = task
        self.ordinal = ordinal
    }

    /// Reads what ``description`` gives.
    public init?(_ description: String) {
        let parts = description.split(separator: "#", omittingEmptySubsequences: false)
        guard parts.count == 2, let ordinal = Int(parts[1]), ordinal >= 0 else { return nil }
        let path = parts[0].split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard !path.contains(nil) else { return nil }
        self.init(task: TaskPath(path.compactMap(\.self)), ordinal: ordinal)
    }

    /// Path and ordinal, such as `0.2.1#3`: a form for journals.
    public var description: String { "\(task)#\(ordinal)" }
}

/// One wait that is over: the task goes on with the next thing it does.
public struct Delivery: Hashable, Sendable, CustomStringConvertible {
    /// What ended the wait.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// A host function that waits has returned or failed, or its error was resolved.
        case result
        /// `task.sleep` is over.
        case timer
        /// A time limit has come before the function of `task.timeout` has ended.
        case timeLimit = "time-limit"
        /// The call or sleep of a task that was cancelled is over, however it ended.
        case cancellation
        /// The error of a synchronous function was resolved by ``LuaConfiguration/onUncaught``; takes effect at once.
        case resolution
        /// All branches of a scope have ended.
        case scope
        /// The branch that `task:wait` waited for has ended.
        case branch
        /// Another task has ended loading a module.
        case module
        /// The run is being ended, by ``LuaState/cancel()`` or by a budget: no wait, but it ends all of them.
        case ending
    }

    /// The wait that is over.
    public let id: DeliveryID
    /// What ended it.
    public let kind: Kind
    /// The public name of the function that waited.
    public let function: String
    /// Counts deliveries of the state, from 1.
    public let sequence: Int

    /// Makes a delivery, such as one read from a journal.
    public init(_ id: DeliveryID, _ kind: Kind, function: String, sequence: Int) {
        self.id = id
        self.kind = kind
        self.function = function
        self.sequence = sequence
    }

    /// Whether it has a turn, which a ``DeliveryOrder`` may dictate: the end of a call or a sleep, or a time limit.
    ///
    /// The end of a scope and the like follow from what scripts and earlier deliveries did, so they are the same when
    /// those are.
    public var hasTurn: Bool {
        switch kind {
        case .result, .timer, .timeLimit, .cancellation: true
        case .resolution, .scope, .branch, .module, .ending: false
        }
    }

    /// Sequence, wait, function and kind.
    public var description: String { "\(sequence) \(id) \(function) \(kind.rawValue)" }
}

/// Is told of each delivery and may dictate their order: what a journal builds on to record a run and to repeat it.
///
/// Host calls and timers end in whichever order the world has for them, and a script may act on that order. All of them
/// are delivered through one place, one at a time; each takes effect, with all that follows from it, before the next.
///
/// The methods are called on the thread of Lua and hold it up: they should note what they are told and return. A
/// recorded order is needed only if something after it is, so it may become durable together with the run's next step.
public protocol DeliveryOrder: AnyObject, Sendable {
    /// The wait whose delivery has the next turn; nil when that which arrived first may have it.
    ///
    /// It is asked whenever something has arrived. What arrives before its turn is kept until then. When the wait named
    /// is not open, the run has left the path that is being repeated, and is ended with an error of kind `diverged`.
    func next() -> DeliveryID?
    /// Receives a delivery just before it takes effect.
    func deliver(_ delivery: Delivery)
}
