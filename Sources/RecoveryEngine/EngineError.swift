import BlockReplication
import Hypervisors
package import SiteModel

/// Why the engine did not do what was asked, in words for the person who asked.
package struct EngineError: Error, Sendable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// A rule forbids the operation; nothing was changed.
        case refused
        /// Another operation has the VM.
        case busy
        /// No such object.
        case unknown
        /// An option has a value that is not allowed.
        case invalid
        /// A host or an agent does not answer.
        case unreachable
        /// The source is not known to be down.
        case sourceNotDown = "source-not-down"
        /// The target of an undo is not known to be down.
        case targetNotDown = "target-not-down"
        /// The guest did not shut down within its limit.
        case shutdownTimedOut = "shutdown-timed-out"
        /// The operation failed at a stage; `message` says which, and what state it left.
        case failed
        /// The points at the target are not those that the vault knows: the sides must be compared anew.
        case diverged
        /// The VM has other disks than those that are replicated.
        case disksChanged = "disks-changed"
        /// The host that the VM is replicated from does not know it.
        case vmGone = "vm-gone"
        /// A host's own record of who owns a VM is newer than the vault's.
        case vaultBehind = "vault-behind"
        /// A store is too full.
        case noSpace = "no-space"
        /// This engine lost the right to drive the job.
        case leaseLost = "lease-lost"
    }

    package let kind: Kind
    package let message: String
    /// What to do about it.
    package let hint: String?
    /// Id of the rule that refused, if one did.
    package let rule: String?
    /// Name of the object concerned.
    package let object: String?
    package let cause: (any Error)?

    package init(
        _ kind: Kind, _ message: String, hint: String? = nil, rule: String? = nil, object: String? = nil,
        cause: (any Error)? = nil
    ) {
        self.kind = kind
        self.message = message
        self.hint = hint
        self.rule = rule
        self.object = object
        self.cause = cause
    }

    package init(_ refusal: Refusal) {
        self.init(
            .refused,
            "\(refusal.operation.rawValue) of \(refusal.object) is refused in state \(refusal.state.rawValue): "
                + refusal.rule.sentence,
            hint: refusal.rule.hint, rule: refusal.rule.id, object: refusal.object)
    }

    /// An error of any part in the engine's words; nil for one that is no part's, such as a cancellation.
    static func translating(_ error: any Error, doing what: String, object: String?) -> EngineError? {
        switch error {
        case let error as EngineError: error
        case let error as HypervisorError:
            EngineError(
                error.code == .unreachable ? .unreachable : .failed, "\(what) failed: \(error.message)",
                hint: error.hint ?? "see to the host, then try again", object: object, cause: error)
        case let error as ReplicationError:
            EngineError(
                error.code == .disconnected ? .unreachable : .failed, "\(what) failed: \(error.message)",
                hint: error.hint, object: object, cause: error)
        default: nil
        }
    }

    package var description: String { hint.map { "\(message) (\($0))" } ?? message }
}
