import LuaHost
package import RecoveryEngine
import SiteModel
import Synchronization

/// What the functions of one run work with: the engine, the run's id, and what its powers reach.
package final class ScriptContext: Sendable {
    package let engine: RecoveryEngine
    /// Id of the run, recorded with every job that it starts.
    package let run: String
    /// The folders that `files` reaches.
    package let folders: [GrantedFolder]
    package let labPower: (any LabPower)?
    let options: ScriptOptions
    /// States as the script last read them, by object: `tostring` cannot wait for the vault.
    private let states = Mutex<[LuaObject: String]>([:])
    private let texts = Mutex<[LuaObject: String]>([:])
    /// Operations that the engine still drives, also those whose waiting task was cancelled.
    let operations: RunningOperations
    /// Functions of the script that a plan's run wants called.
    let planCalls = PlanCalls()

    package init(engine: RecoveryEngine, run: String, options: ScriptOptions) {
        self.engine = engine
        operations = RunningOperations(executor: engine.dependencies.executor)
        self.run = run
        self.options = options
        folders = options.folders
        labPower = options.labPower
    }

    /// Keeps the state of an object as just read, for `tostring`.
    func note(_ state: ReplicationState, of object: LuaObject) {
        states.withLock { $0[object] = state.rawValue }
    }

    /// Keeps a text that `tostring` shows as it is.
    func note(_ text: String, as object: LuaObject) {
        texts.withLock { $0[object] = text }
    }

    /// What `tostring` shows: the name, and the state as the script last read it.
    func label(of object: LuaObject) -> String {
        if let text = texts.withLock({ $0[object] }) { return text }
        let state = states.withLock { $0[object] }
        return "\(object.type)<\(Handle.name(of: object))\(state.map { ", \($0)" } ?? "")>"
    }
}
