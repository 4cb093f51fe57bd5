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
    /// Held while something of the run's lasts until the run's end.
    let lease: RunLease
    /// Functions of the script that a plan's run wants called.
    let planCalls = PlanCalls()
    /// Keeps the run's journal; nil for a run that has none.
    let keeper: StepKeeper?

    package convenience init(engine: RecoveryEngine, run: String, options: ScriptOptions) {
        self.init(engine: engine, run: run, options: options, keeper: nil)
    }

    init(
        engine: RecoveryEngine, run: String, options: ScriptOptions, keeper: StepKeeper?, lease kept: KeptLease? = nil
    ) {
        self.engine = engine
        self.keeper = keeper
        operations = RunningOperations(executor: engine.dependencies.executor)
        self.run = run
        self.options = options
        folders = options.folders
        labPower = options.labPower
        lease = RunLease(engine: engine, run: run, kept: kept)
    }

    /// Ends what lasts until the run's end: its test VMs.
    func end() async {
        await cleanUp()
        await lease.release()
    }

    /// Ends its test VMs.
    func cleanUp() async { await engine.cleanUpTests(ofRun: run) }

    /// Keeps the state of an object as just read, for `tostring`.
    func note(_ state: ReplicationState, of object: LuaObject) {
        note(StepNote(type: object.type, id: object.id, text: state.rawValue, isWhole: false))
    }

    /// Keeps a text that `tostring` shows as it is.
    func note(_ text: String, as object: LuaObject) {
        note(StepNote(type: object.type, id: object.id, text: text, isWhole: true))
    }

    private func note(_ note: StepNote) {
        if let notes = StepNotes.current { notes.add(note) } else { show(note) }
    }

    /// What `tostring` shows from now on.
    func show(_ note: StepNote) {
        if note.isWhole {
            texts.withLock { $0[note.object] = note.text }
        } else {
            states.withLock { $0[note.object] = note.text }
        }
    }

    /// What `tostring` shows: the name, and the state as the script last read it.
    func label(of object: LuaObject) -> String {
        if let text = texts.withLock({ $0[object] }) { return text }
        let state = states.withLock { $0[object] }
        return "\(object.type)<\(Handle.name(of: object))\(state.map { ", \($0)" } ?? "")>"
    }
}
