import Foundation
import SiteModel

extension AgentService {
    package func check(_ request: AgentCheck) async throws -> AgentCheckAnswer {
        try request.requireLimits()
        let (store, identity, address) = (store, storeID, dataAddress)
        let startHook = startHook
        let security = security
        var answer = try await onThread("agent-check") {
            AgentCheckAnswer(
                time: Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)), dataAddress: address,
                storeID: identity, store: try FolderLook.facts(of: store),
                images: request.images.map(ImageLook.facts), programs: request.programs.map(ProgramLook.facts),
                startHook: startHook?(), security: security.facts(listening: address))
        }
        answer.files = request.files?.filter { $0.hasPrefix("/") && access($0, F_OK) == 0 }
        answer.endpoints = await EndpointProber.run(request.endpoints, security)
        return answer
    }
}

/// Looks at a folder and writes a file there.
enum FolderLook {
    static func facts(of path: String) throws -> FolderFacts {
        var space = statvfs()
        guard statvfs(path, &space) == 0 else {
            throw ReplicationError.system("asking for the free space of a folder", path: path, errno: errno)
        }
        return FolderFacts(
            path: path, freeBytes: UInt64(space.f_bavail) * UInt64(space.f_frsize),
            totalBytes: UInt64(space.f_blocks) * UInt64(space.f_frsize), fileSystem: fileSystem(of: path),
            writeFailure: writeFailure(path))
    }

    /// Type of the file system by the mount of its device, as proc(5) lists mounts; nil when it cannot be told.
    private static func fileSystem(of path: String) -> String? {
        var status = stat()
        // By a handle: of a file without a size String takes the first page only, and later mounts would not be seen.
        guard stat(path, &status) == 0, let handle = FileHandle(forReadingAtPath: "/proc/self/mountinfo"),
            let data = try? handle.readToEnd()
        else { return nil }
        let mounts = String(decoding: data, as: UTF8.self)
        // The kernel's own split of a device number (makedev(3)).
        let (major, minor) = (
            (status.st_dev >> 8) & 0xFFF | (status.st_dev >> 32) & ~0xFFF,
            status.st_dev & 0xFF | (status.st_dev >> 12) & ~0xFF
        )
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 4, fields[2] == "\(major):\(minor)", let dash = fields.firstIndex(of: "-"),
                dash + 1 < fields.count
            else { continue }
            return String(fields[dash + 1])
        }
        return nil
    }

    private static func writeFailure(_ folder: String) -> String? {
        let path = "\(folder)/.check-\(UUID().uuidString.lowercased())"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return String(cString: strerror(errno)) }
        defer {
            close(descriptor)
            unlink(path)
        }
        // A full file system still makes empty files: it is the first block that tells.
        let block = [UInt8](repeating: 0x5A, count: 4096)
        guard write(descriptor, block, block.count) == block.count, fsync(descriptor) == 0 else {
            return String(cString: strerror(errno))
        }
        return nil
    }
}

/// Reads the header of a qcow2 file, also while QEMU has it open: nothing is locked or changed.
enum ImageLook {
    static func facts(of path: String) -> ImageFacts {
        do {
            guard path.hasPrefix("/") else {
                throw ReplicationError(.invalidArgument, "no absolute path", hint: "give the whole path")
            }
            let file = try ImageFile(reading: path)
            let header = try Qcow2Header(reading: file)
            return ImageFacts(
                path: path, version: Int(header.version), isEncrypted: header.encryption != 0,
                allocatedBytes: try file.allocatedBytes())
        } catch {
            return ImageFacts(path: path, version: nil, failure: ReplicationError.wrapping(error).message)
        }
    }
}

/// Looks for a program where this process would find it.
enum ProgramLook {
    static func facts(_ name: String) -> ProgramFacts {
        guard !name.isEmpty, !name.contains("/"), !name.utf8.contains(0) else {
            return ProgramFacts(name: name, path: nil)
        }
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/sbin:/usr/bin").split(separator: ":")
        let path = folders.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
        return ProgramFacts(name: name, path: path)
    }
}
