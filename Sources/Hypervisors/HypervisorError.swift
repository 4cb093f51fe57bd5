/// Why a hypervisor did not do what was asked.
package struct HypervisorError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The host does not answer.
        case unreachable
        case unknownDomain
        case unknownNetwork
        /// No such checkpoint, or its bitmap is missing or broken (after a crash of QEMU).
        case checkpointUnusable
        /// Another backup or block job is under way.
        case busy
        case unsupported
        case timedOut
        case invalidDefinition
        /// Anything else libvirt says.
        case failed
    }

    package let code: Code
    package let message: String
    /// What to do about it.
    package let hint: String?
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, hint: String? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
        self.cause = cause
    }

    package var description: String { hint.map { "\(message) (\($0))" } ?? message }
}
