/// A Lua task as the scheduler sees it.
final class TaskRecord {
    enum Wait {
        /// Ready, running or not yet started.
        case none
        /// Waits for a host function, or for the host's word on an error of one.
        case host(Task<Void, Never>, function: String)
        /// Waits for a time.
        case timer(Int)
        /// Waits for the branches of a scope.
        case scope(ScopeRecord)
        /// Waits for one branch of a scope, under a number that the scope gave.
        case branch(ScopeRecord, index: Int, joiner: Int)
        /// Waits until another task has loaded a module, under a number that tells when it came.
        case module(String, waiter: Int)
    }

    let id: Int
    let pointer: OpaquePointer
    let path: TaskPath
    let scope: ScopeRecord?
    /// Scopes opened so far.
    var scopes = 0
    var wait: Wait = .none
    var isCancelled = false
    /// Whether something in the task would catch an error of the wait it is in.
    var isGuarded = false

    init(id: Int, pointer: OpaquePointer, path: TaskPath, scope: ScopeRecord?) {
        self.id = id
        self.pointer = pointer
        self.path = path
        self.scope = scope
    }

    /// The nearest scope that takes branches while it runs.
    var openScope: ScopeRecord? {
        var task = self
        while let scope = task.scope {
            if scope.isOpen { return scope }
            task = scope.parent
        }
        return nil
    }

    /// Whether an error that arises here would end the run, with nothing on its way that catches it.
    func holdsErrors(guarded: Bool) -> Bool {
        if isCancelled || guarded { return false }
        var task = self
        while let scope = task.scope {
            if scope.isClosing || scope.parent.isGuarded { return false }
            task = scope.parent
        }
        return true
    }

    func isWithin(_ other: TaskRecord) -> Bool { path.components.starts(with: other.path.components) }
}
