import LuaHost
import Synchronization
import VaultStore

/// What `tostring` shows of an object, as a step has read it.
struct StepNote: Codable, Sendable, Hashable {
    var type: String
    var id: String
    var text: String
    /// Whether the text is all that is shown, and not the state beside the name.
    var isWhole: Bool

    var object: LuaObject { LuaObject(type: type, id: id) }
}

/// Notes of the step under way: they show when the step's task goes on, and not before, in every repetition alike.
final class StepNotes: Sendable {
    @TaskLocal static var current: StepNotes?
    private let notes = Mutex<[StepNote]>([])

    func add(_ note: StepNote) { notes.withLock { $0.append(note) } }
    var all: [StepNote] { notes.withLock { $0 } }

    private let transaction = Mutex<[@Sendable (any VaultWriter) throws -> Void]>([])

    /// Has the vault changed in the transaction in which the step's result is written: both come about, or neither.
    func write(_ body: @escaping @Sendable (any VaultWriter) throws -> Void) {
        transaction.withLock { $0.append(body) }
    }

    var writes: [@Sendable (any VaultWriter) throws -> Void] { transaction.withLock { $0 } }
}
