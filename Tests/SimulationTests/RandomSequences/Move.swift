import SiteModel

/// One thing that happens in a random sequence: whole in itself, so that a list of them can be played again.
indirect enum Move: Hashable, Sendable {
    case protect(String, later: Bool)
    case operation(Operation, String, [String: String])
    /// The plan that has all VMs of the cloud is run.
    case plan(PlanOperation, [String: String])
    /// The second begins so many seconds after the first.
    case during(Move, after: Double, Move)
    /// The engine dies after so many steps of the operation, and another one takes its place.
    case crash(Move, afterSteps: Int)
    /// An engine that starts looks for what another has left.
    case recover
    case watch
    case cleanUpDueTests
    case wait(Double)
    case write(String)
    case incident(Incident)
}

/// What happens to sites, with nobody asked.
enum Incident: Hashable, Sendable {
    case loseHost(String)
    case cutOff(String)
    /// The host answers again, after a loss or a partition.
    case restoreHost(String)
    case cutLink, mendLink
    case fill(String), empty(String)
    case kill(String, at: String)
    case powerOff(String, at: String)
    case startByHand(String, at: String)
    case grow(String, at: String), shrinkBack(String, at: String)
    case stubborn(String, Bool)
    /// The store of the VM's target is put back to an earlier state.
    case putBack(String)
    case fence(String, works: Bool)
    case fault(String, at: String, losesAnswer: Bool)
    case clearFaults
}

extension Move: CustomStringConvertible {
    var description: String {
        switch self {
        case .protect(let vm, let later): "protect \(vm)\(later ? ", first copy scheduled" : "")"
        case .operation(let operation, let vm, let arguments):
            "\(operation.rawValue) \(vm)"
                + arguments.sorted { $0.key < $1.key }.map { ", \($0.key) = \($0.value)" }.joined()
        case .plan(let operation, let arguments):
            "\(operation.rawValue) of the plan"
                + arguments.sorted { $0.key < $1.key }.map { ", \($0.key) = \($0.value)" }.joined()
        case .during(let first, let after, let second): "\(first); \(after) s after its beginning: \(second)"
        case .crash(let move, let steps): "\(move); the engine dies after \(steps) steps"
        case .recover: "an engine starts and takes up open jobs"
        case .watch: "look at the hosts"
        case .cleanUpDueTests: "clean up the tests that are due"
        case .wait(let seconds): "\(seconds) s pass"
        case .write(let vm): "the guest of \(vm) writes"
        case .incident(let incident): "\(incident)"
        }
    }
}

extension Incident: CustomStringConvertible {
    var description: String {
        switch self {
        case .loseHost(let host): "host \(host) is lost"
        case .cutOff(let host): "host \(host) is cut off, and what runs there runs on"
        case .restoreHost(let host): "host \(host) is back"
        case .cutLink: "the link between the sites is cut"
        case .mendLink: "the link between the sites is mended"
        case .fill(let host): "the disk of \(host) is full"
        case .empty(let host): "the disk of \(host) has room again"
        case .kill(let vm, let host): "QEMU of \(vm) is killed at \(host)"
        case .powerOff(let vm, let host): "\(vm) powers itself off at \(host)"
        case .startByHand(let vm, let host): "somebody starts \(vm) at \(host)"
        case .grow(let vm, let host): "disk vda of \(vm) is grown at \(host)"
        case .shrinkBack(let vm, let host): "disk vda of \(vm) has its old size again at \(host)"
        case .stubborn(let vm, let is_): "\(vm) \(is_ ? "ignores" : "obeys") its power button"
        case .putBack(let vm): "the store of \(vm)'s target is put back to before its newest point"
        case .fence(let host, let works): "the fence of \(host) \(works ? "works" : "fails")"
        case .fault(let call, let host, let losesAnswer):
            "the next \(call) at \(host) \(losesAnswer ? "does its work and says that it did not" : "fails")"
        case .clearFaults: "calls work again"
        }
    }
}
