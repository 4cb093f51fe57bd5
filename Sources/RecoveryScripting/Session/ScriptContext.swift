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
    /// States as the script last read them, by object: `tostring` cannot wait for the vault.
    private let states = Mutex<[LuaObject: String]>([:])
    /// Operations that the engine still drives, also those whose waiting task was cancelled.
    let operations = RunningOperations()

    package init(engine: RecoveryEngine, run: String, options: ScriptOptions) {
        self.engine = engine
        self.run = run
        folders = options.folders
        labPower = options.labPower
    }

    /// Keeps the state of an object as just read, for `tostring`.
    func note(_ state: ReplicationState, of object: LuaObject) {
        states.withLock { $0[object] = state.rawValue }
    }

    /// What `tostring` shows: the name, and the state as the script last read it.
    func label(of object: LuaObject) -> String {
        let state = states.withLock { $0[object] }
        return "\(object.type)<\(Handle.name(of: object))\(state.map { ", \($0)" } ?? "")>"
    }
}
