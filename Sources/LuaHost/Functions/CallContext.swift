/// What a host function knows about the call it serves.
///
/// It holds no part of the Lua state, so an asynchronous function may keep it for as long as it likes.
public struct CallContext: Sendable {
    /// The public name of the function called: `"recovery.vault"`, `"vm:protect"`, `"vm.state"`.
    public let function: String
    /// The Lua task that called.
    public let task: TaskPath
    /// The how-manieth host call of its task this is, from 1; with ``task`` it is the same in every replay.
    public let ordinal: Int
    /// Where the script called: the nearest line of Lua on the stack.
    public let `where`: SourcePosition?
    /// The clock of the run.
    public let clock: any LuaClock
    let data: (any Sendable)?
    let sink: @Sendable (String) -> Void

    /// What the host attached to the run by ``LuaConfiguration/userData``, if it has the type asked for.
    public func userData<T>(as type: T.Type = T.self) -> T? { data as? T }

    /// Writes a line to where the script's own `print` goes.
    public func print(_ line: String) { sink(line) }
}

/// The place of a Lua task among the tasks of its run, such as `0` for the script itself and `0.2.1` below it.
///
/// The numbers count the scopes opened by the task before (`task.all` and the like) and the branch within the scope,
/// so the same script gives the same paths whatever finishes first.
public struct TaskPath: Hashable, Sendable, CustomStringConvertible {
    /// The numbers from the script's own task down.
    public let components: [Int]

    /// Makes a path.
    public init(_ components: [Int] = [0]) { self.components = components }

    /// The numbers with points between.
    public var description: String { components.map(String.init).joined(separator: ".") }

    func branch(scope: Int, index: Int) -> TaskPath { TaskPath(components + [scope, index]) }
}
