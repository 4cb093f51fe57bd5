/// A Lua task as the scheduler sees it.
final class TaskRecord {
    enum Wait {
        /// Ready, running or not yet started.
        case none
        /// Waits for a host function.
        case host(Task<Void, Never>, function: String)
        /// Waits for the branches of a scope.
        case scope(ScopeRecord)
    }

    let id: Int
    let pointer: OpaquePointer
    let path: TaskPath
    let scope: ScopeRecord?
    /// Host calls made so far.
    var ordinal = 0
    /// Scopes opened so far.
    var scopes = 0
    var wait: Wait = .none
    var isCancelled = false

    init(id: Int, pointer: OpaquePointer, path: TaskPath, scope: ScopeRecord?) {
        self.id = id
        self.pointer = pointer
        self.path = path
        self.scope = scope
    }
}
