internal import CLibvirt
internal import Foundation

/// What libvirt said, as it said it: the cause beneath a `HypervisorError`.
package struct LibvirtFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// libvirt's error number (virErrorNumber).
    package let number: Int
    /// The part of libvirt that failed (virErrorDomain).
    package let domain: Int
    package let message: String

    package var description: String { "libvirt error \(number) of part \(domain): \(message)" }
}

/// The library's process-wide set-up, and its errors.
enum LibvirtLibrary {
    /// Initialises the library once and keeps it from printing errors to standard error: they are thrown instead.
    static func prepare() { _ = prepared }

    private static let prepared: Bool = {
        virSetErrorFunc(nil) { _, _ in }
        return virInitialize() == 0
    }()

    /// The error of the last call on this thread (libvirt keeps one a thread).
    static func lastFailure() -> LibvirtFailure {
        guard let error = virGetLastError() else {
            return LibvirtFailure(number: 0, domain: 0, message: "no reason given")
        }
        let message = error.pointee.message.map { String(cString: $0) } ?? "no reason given"
        return LibvirtFailure(
            number: Int(error.pointee.code), domain: Int(error.pointee.domain), message: message)
    }

    /// Makes the last call's failure into the module's error; `doing` completes "could not ...".
    static func error(_ doing: String) -> HypervisorError { translate(lastFailure(), doing) }

    /// Takes a string that libvirt allocated.
    static func take(_ text: UnsafeMutablePointer<CChar>?, _ doing: String) throws -> String {
        guard let text else { throw error(doing) }
        defer { free(text) }
        return String(cString: text)
    }

    static func check(_ result: Int32, _ doing: String) throws {
        if result < 0 { throw error(doing) }
    }

    static func translate(_ failure: LibvirtFailure, _ doing: String) -> HypervisorError {
        let (code, hint) = meaning(of: failure)
        return HypervisorError(code, "could not \(doing): \(failure.message)", hint: hint, cause: failure)
    }

    private static func meaning(of failure: LibvirtFailure) -> (HypervisorError.Code, String) {
        switch failure.number {
        case number(VIR_ERR_NO_DOMAIN), number(VIR_ERR_INVALID_DOMAIN):
            (.unknownDomain, "list the host's VMs: it may have been undefined or renamed")
        case number(VIR_ERR_NO_NETWORK), number(VIR_ERR_INVALID_NETWORK):
            (.unknownNetwork, "define and start the network at the host, or map to another one")
        case number(VIR_ERR_NO_DOMAIN_CHECKPOINT), number(VIR_ERR_INVALID_DOMAIN_CHECKPOINT),
            number(VIR_ERR_CHECKPOINT_INCONSISTENT):
            (.checkpointUnusable, "changes since then are unknown: compare the disks, then begin a new checkpoint")
        case number(VIR_ERR_OPERATION_TIMEOUT), number(VIR_ERR_RESOURCE_BUSY), number(VIR_ERR_BLOCK_COPY_ACTIVE):
            (.busy, "another operation on this VM is under way: wait for it to end and try again")
        case number(VIR_ERR_AGENT_UNRESPONSIVE):
            (.timedOut, "the guest agent does not answer: look at the guest")
        case number(VIR_ERR_NO_SUPPORT), number(VIR_ERR_ARGUMENT_UNSUPPORTED), number(VIR_ERR_CONFIG_UNSUPPORTED),
            number(VIR_ERR_OPERATION_UNSUPPORTED):
            (.unsupported, "this host cannot do it, or not in the VM's present state")
        case number(VIR_ERR_XML_ERROR), number(VIR_ERR_XML_DETAIL), number(VIR_ERR_XML_INVALID_SCHEMA),
            number(VIR_ERR_OS_TYPE):
            (.invalidDefinition, "correct the definition")
        case number(VIR_ERR_RPC), number(VIR_ERR_NO_CONNECT), number(VIR_ERR_INVALID_CONN),
            number(VIR_ERR_AUTH_FAILED), number(VIR_ERR_AUTH_CANCELLED), number(VIR_ERR_AUTH_UNAVAILABLE):
            (.unreachable, "see that libvirtd runs at the host and that this user may use its socket")
        default:
            (.failed, "the host's libvirtd log says more")
        }
    }

    private static func number(_ value: virErrorNumber) -> Int { Int(value.rawValue) }

    static func isNumber(_ error: any Error, _ value: virErrorNumber) -> Bool {
        ((error as? HypervisorError)?.cause as? LibvirtFailure)?.number == number(value)
    }
}
