// What `perilune doctor` asks of an agent, beyond its status.

package import SiteModel

/// Questions about a host that only a program at the host can answer.
///
/// An agent that is older than the call says `unsupported`.
package struct AgentCheck: Codable, Hashable, Sendable {
    /// The most of each kind in one call.
    package static let imageLimit = 1024
    package static let programLimit = 32
    package static let endpointLimit = 32

    /// Absolute paths of qcow2 files whose headers are to be read.
    package var images: [String]
    /// Programs to be looked for in the agent's PATH.
    package var programs: [String]
    /// Connections to be tried from this host.
    package var endpoints: [EndpointProbe]
    /// Absolute paths of files that are to be looked for.
    package var files: [String]?

    package init(
        images: [String] = [], programs: [String] = [], endpoints: [EndpointProbe] = [], files: [String]? = nil
    ) {
        self.files = files
        self.images = images
        self.programs = programs
        self.endpoints = endpoints
    }

    /// Refuses more questions than one call may ask.
    package func requireLimits() throws(ReplicationError) {
        guard images.count <= Self.imageLimit, (files ?? []).count <= Self.imageLimit,
            programs.count <= Self.programLimit,
            endpoints.count <= Self.endpointLimit
        else {
            throw ReplicationError(
                .invalidArgument, "too many questions in one check", hint: "ask in several calls")
        }
    }
}

/// What the host is like; lists are in the order of the questions.
package struct AgentCheckAnswer: Codable, Hashable, Sendable {
    /// The host's clock when it answered the cheap questions, before any connection was tried.
    package var time: Timestamp
    /// Address that the agent gives to senders, as `host:port`.
    package var dataAddress: String
    /// Identity of the store itself: two agents that say the same one write the same folder.
    package var storeID: String
    package var store: FolderFacts
    package var images: [ImageFacts]
    package var programs: [ProgramFacts]
    package var endpoints: [EndpointOutcome]
    /// The hook by which libvirt asks before it starts a VM; nil from an agent that does not know the question.
    package var startHook: StartHookFacts?
    /// Those of the files that are there; nil from an agent that does not know the question.
    package var files: [String]?
    /// How its data connections are protected; nil from an agent that does not know the question.
    package var security: SecurityFacts?

    package init(
        time: Timestamp, dataAddress: String, storeID: String, store: FolderFacts, images: [ImageFacts] = [],
        programs: [ProgramFacts] = [], endpoints: [EndpointOutcome] = [], startHook: StartHookFacts? = nil,
        security: SecurityFacts? = nil
    ) {
        self.time = time
        self.dataAddress = dataAddress
        self.storeID = storeID
        self.store = store
        self.images = images
        self.programs = programs
        self.endpoints = endpoints
        self.startHook = startHook
        self.security = security
    }
}

/// How the connections that carry disks' content to this host are protected.
package struct SecurityFacts: Codable, Hashable, Sendable {
    /// Whether they are encrypted, with certificates on both sides.
    package var isEncrypted: Bool
    /// Whether they come from this machine alone.
    package var isLocal: Bool
    /// The agent's own certificate.
    package var certificate: CertificateFacts?
    /// Why the certificate cannot be put to use.
    package var problem: String?

    package init(
        isEncrypted: Bool, isLocal: Bool, certificate: CertificateFacts? = nil, problem: String? = nil
    ) {
        self.isEncrypted = isEncrypted
        self.isLocal = isLocal
        self.certificate = certificate
        self.problem = problem
    }
}

/// The hook by which libvirt asks before it starts a VM.
package struct StartHookFacts: Codable, Hashable, Sendable {
    /// Where it is looked for.
    package var path: String
    /// The folder in which the agent keeps what was confirmed since the boot: the hook must look there.
    package var runtime: String
    /// What is wrong with it; nil when it is there and asks the agent's own records.
    package var problem: String?

    package init(path: String, runtime: String, problem: String? = nil) {
        self.path = path
        self.runtime = runtime
        self.problem = problem
    }
}

/// A folder and the file system that it lies on.
package struct FolderFacts: Codable, Hashable, Sendable {
    package var path: String
    package var freeBytes: UInt64
    package var totalBytes: UInt64
    /// Type of the file system, in the kernel's words ("ext4", "nfs4"); nil when it could not be told.
    package var fileSystem: String?
    /// Why no file could be written there; nil when one was, and removed again.
    package var writeFailure: String?

    package init(
        path: String, freeBytes: UInt64, totalBytes: UInt64, fileSystem: String? = nil,
        writeFailure: String? = nil
    ) {
        self.path = path
        self.freeBytes = freeBytes
        self.totalBytes = totalBytes
        self.fileSystem = fileSystem
        self.writeFailure = writeFailure
    }
}

/// What the header of a disk image says.
package struct ImageFacts: Codable, Hashable, Sendable {
    package var path: String
    /// qcow2's version: bitmaps can be kept from 3 ("compat 1.1") on; nil when it could not be read.
    package var version: Int?
    package var isEncrypted: Bool
    /// Bytes that the file takes up, without what lies beneath it.
    package var allocatedBytes: UInt64
    /// Why the header could not be read.
    package var failure: String?

    package init(
        path: String, version: Int?, isEncrypted: Bool = false, allocatedBytes: UInt64 = 0, failure: String? = nil
    ) {
        self.path = path
        self.version = version
        self.isEncrypted = isEncrypted
        self.allocatedBytes = allocatedBytes
        self.failure = failure
    }
}

/// Where a program was found.
package struct ProgramFacts: Codable, Hashable, Sendable {
    package var name: String
    /// Nil when it is not there, or may not be run.
    package var path: String?

    package init(name: String, path: String?) {
        self.name = name
        self.path = path
    }
}
