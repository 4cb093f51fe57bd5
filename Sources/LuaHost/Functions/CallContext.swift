internal import CLuaShim
internal import Foundation
internal import Synchronization

/// What a host function knows about the call it serves.
///
/// It may be kept for as long as one likes; only ``where`` has to be asked for in time.
public struct CallContext: Sendable {
    /// The public name of the function called: `"recovery.vault"`, `"vm:protect"`, `"vm.state"`.
    public let function: String
    /// The Lua task that called.
    public let task: TaskPath
    /// The how-manieth host call of its task this is, from 1; with ``task`` it is the same in every replay.
    public let ordinal: Int
    let shared: CallShared
    let serial: UInt64
    let position: SourcePosition?

    /// Where the script called: the nearest line of Lua on the stack.
    ///
    /// A synchronous function has to ask while it serves the call, on the thread it was called on: the stack is looked
    /// at only then, as that takes longer than most calls. Afterwards, and elsewhere, it is nil. An asynchronous
    /// function may ask at any time.
    public var `where`: SourcePosition? { position ?? shared.position(of: serial) }

    /// The clock of the run.
    public var clock: any LuaClock { shared.clock }

    /// What the host attached to the run by ``LuaConfiguration/userData``, if it has the type asked for.
    public func userData<T>(as type: T.Type = T.self) -> T? { shared.data as? T }

    /// Writes a line to where the script's own `print` goes.
    public func print(_ line: String) { shared.sink(line) }
}

/// What all calls of a state share.
///
/// `@unchecked Sendable`: `thread` and `engine` are read only by the thread that is inside the call named by `active`,
/// and that thread wrote them, or knows them from before.
final class CallShared: @unchecked Sendable {
    let clock: any LuaClock
    let data: (any Sendable)?
    let sink: @Sendable (String) -> Void
    let capabilities: [String: (capability: Capability, isGranted: Bool)]
    private let active = Atomic<UInt64>(0)
    private let thread = Atomic<UInt>(0)
    private var last: UInt64 = 0
    var engine: OpaquePointer?

    init(_ configuration: LuaConfiguration) {
        clock = configuration.clock
        data = configuration.userData
        sink = configuration.print
        capabilities = configuration.capabilitiesByName
    }

    /// Begins a call that is served on this thread and returns its number.
    func enter() -> UInt64 {
        last += 1
        thread.store(UInt(pthread_self()), ordering: .relaxed)
        active.store(last, ordering: .relaxed)
        return last
    }

    func leave() { active.store(0, ordering: .relaxed) }

    func position(of serial: UInt64) -> SourcePosition? {
        guard serial != 0, active.load(ordering: .relaxed) == serial,
            thread.load(ordering: .relaxed) == UInt(pthread_self()), let engine
        else { return nil }
        return currentPosition(engine)
    }
}

/// The line of the call that is being served; to be asked on the thread of Lua.
func currentPosition(_ engine: OpaquePointer) -> SourcePosition? {
    var line: Int32 = 0
    guard let chunk = clua_call_position(engine, &line) else { return nil }
    return SourcePosition(chunk: String(cString: chunk), line: Int(line))
}

/// The place of a Lua task among the tasks of its run, such as `0` for the script itself and `0.2.1` below it.
///
/// The numbers count the scopes opened by the task before (`task.all` and the like) and the branch within the scope,
/// so the same script gives the same paths whatever finishes first.
public struct TaskPath: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The numbers from the script's own task down.
    public let components: [Int]

    /// Makes a path.
    public init(_ components: [Int] = [0]) { self.components = components }

    /// The numbers with points between.
    public var description: String { components.map(String.init).joined(separator: ".") }

    /// Parents before their branches, earlier scopes and branches before later ones.
    public static func < (a: TaskPath, b: TaskPath) -> Bool { a.components.lexicographicallyPrecedes(b.components) }

    func branch(scope: Int, index: Int) -> TaskPath { TaskPath(components + [scope, index]) }
}
