import CZstd
import Foundation
import Glibc

/// The files in which libvirt keeps what its VMs have outside their disks.
///
/// A TPM's state lies in `swtpm/UUID/tpm2` (or `tpm1.2`), UEFI variables where the VM's definition says. All are small, and read
/// again until two readings in turn are the same: a guest writes them seldom, and never much at once.
struct FirmwareFiles {
    /// libvirt's folder for what its VMs keep.
    var libvirt = "/var/lib/libvirt"

    private static let readings = 6
    private static let frame = Int(FrameKind.longestContent)

    // MARK: Reading

    func read(_ place: FirmwarePlace) throws -> FirmwareState {
        try StoreNames.checkGeneration(place.vmUUID)
        var last = try contents(place)
        for _ in 1..<Self.readings {
            let again = try contents(place)
            if again == last {
                return try FirmwareState(
                    files: again.sorted { $0.key < $1.key }.map { try Self.pack($0.key, $0.value) }
                ).checked()
            }
            last = again
        }
        throw ReplicationError(
            .busy, "the UEFI variables or the TPM's state change faster than they can be read",
            hint: "begin the cycle again; if it stays so, look at what in the guest writes them")
    }

    private func contents(_ place: FirmwarePlace) throws -> [String: Data] {
        var found: [String: Data] = [:]
        if let nvram = place.nvram {
            try StoreNames.checkAbsolutePath(nvram)
            found["nvram"] = try Self.content(nvram)
            if found["nvram"] == nil, place.isRunning { throw Self.missing("UEFI variables", nvram) }
        }
        if place.hasTPM {
            let folder = tpmFolder(place.vmUUID)
            for version in ["tpm1.2", "tpm2"] {
                let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(version)")) ?? []
                // The volatile state and the lock are those of one run.
                for name in names where Self.isState(name) {
                    guard found.count < FirmwareState.mostFiles else { throw Self.tooMuch }
                    // It may go between the look at the folder and the look at the file: then the next reading differs.
                    found["tpm/\(version)/\(name)"] = try Self.content("\(folder)/\(version)/\(name)")
                }
            }
            if !found.keys.contains(where: { $0.hasPrefix("tpm/") }), place.isRunning {
                throw Self.missing("TPM's state", folder)
            }
        }
        return found
    }

    private static func isState(_ name: String) -> Bool {
        StoreNames.isSafeFileName(name) && !name.contains("volatile") && !name.hasSuffix(".lock")
    }

    /// A regular file's content; nil when there is none.
    private static func content(_ path: String) throws -> Data? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw ReplicationError.system("reading firmware state", path: path, errno: errno)
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw ReplicationError(
                .unsupported, "\(path) is no regular file", hint: "keep the VM's UEFI variables in a file")
        }
        guard status.st_size <= FirmwareState.largestFile else { throw tooMuch }
        return try file.read(upToCount: FirmwareState.largestFile) ?? Data()
    }

    private static func missing(_ what: String, _ path: String) -> ReplicationError {
        ReplicationError(
            .notFound, "the \(what) of the VM is not at \(path)",
            hint: "look whether the VM's definition names it rightly: a point without it would not be whole")
    }

    static var tooMuch: ReplicationError {
        ReplicationError(
            .unsupported, "the VM keeps more outside its disks than a point takes",
            hint: "at most \(FirmwareState.mostFiles) files of \(FirmwareState.largestFile >> 20) MiB, "
                + "together \(FirmwareState.largestTotal >> 20) MiB, "
                + "\(FirmwareState.largestPacked >> 10) KiB compressed")
    }

    // MARK: Laying down

    /// Puts the state where libvirt looks for it when it starts this VM, in place of what is there.
    func place(_ state: FirmwareState, vmUUID: String) throws -> PlacedFirmware {
        try StoreNames.checkGeneration(vmUUID)
        var placed = PlacedFirmware()
        let contents = try state.checked().files.map { ($0.name, try Self.unpack($0)) }
        let uuid = vmUUID.lowercased()
        if let nvram = contents.first(where: { $0.0 == "nvram" })?.1 {
            let folder = "\(libvirt)/qemu/nvram"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let path = "\(folder)/perilune-\(uuid)_VARS.fd"
            try Self.write(nvram, to: path, like: folder)
            placed.nvram = path
        }
        let tpm = contents.filter { $0.0.hasPrefix("tpm/") }
        if !tpm.isEmpty {
            let folder = tpmFolder(uuid)
            let files = FileManager.default
            try files.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
            for version in ["tpm1.2", "tpm2"] where files.fileExists(atPath: "\(folder)/\(version)") {
                try files.removeItem(atPath: "\(folder)/\(version)")
            }
            for (name, content) in tpm {
                let parts = name.split(separator: "/").map(String.init)
                let inner = "\(folder)/\(parts[1])"
                try files.createDirectory(
                    atPath: inner, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
                try Self.write(content, to: "\(inner)/\(parts[2])", like: inner)
            }
            placed.hasTPM = true
        }
        return placed
    }

    private func tpmFolder(_ uuid: String) -> String { "\(libvirt)/swtpm/\(uuid.lowercased())" }

    /// Writes a file that its owner alone reads; libvirt gives it to the user of QEMU or swtpm when it starts the VM.
    private static func write(_ content: Data, to path: String, like folder: String) throws {
        let part = path + ".part"
        unlink(part)
        let descriptor = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw ReplicationError.system("writing firmware state", path: part, errno: errno)
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        try file.write(contentsOf: content)
        var owner = stat()
        if stat(folder, &owner) == 0 { _ = fchown(descriptor, owner.st_uid, owner.st_gid) }
        guard fsync(descriptor) == 0, rename(part, path) == 0 else {
            throw ReplicationError.system("writing firmware state", path: path, errno: errno)
        }
    }

    // MARK: Packing

    private static func pack(_ name: String, _ content: Data) throws -> FirmwareFile {
        var packed: [Data] = []
        for start in stride(from: 0, to: content.count, by: frame) {
            let piece = content[start..<min(start + frame, content.count)]
            var room = Data(count: ZSTD_compressBound(piece.count))
            let count = room.withUnsafeMutableBytes { room in
                piece.withUnsafeBytes { ZSTD_compress(room.baseAddress, room.count, $0.baseAddress, $0.count, 3) }
            }
            guard ZSTD_isError(count) == 0 else {
                throw ReplicationError.system("packing firmware state", errno: ENOMEM)
            }
            packed.append(room.prefix(count))
        }
        return FirmwareFile(name: name, size: content.count, checksum: checksum(content), packed: packed)
    }

    private static func unpack(_ file: FirmwareFile) throws -> Data {
        var content = Data()
        let unpacker = try Unpacker()
        for piece in file.packed {
            try piece.withUnsafeBytes { content.append(contentsOf: try unpacker.unpack($0)) }
            guard content.count <= file.size else { break }
        }
        guard content.count == file.size, checksum(content) == file.checksum else {
            throw ReplicationError(
                .checksumMismatch, "the firmware state \(file.name) is not what was read at the source",
                hint: "take another point, or begin the cycle again")
        }
        return content
    }

    private static func checksum(_ content: Data) -> String {
        let running = RunningChecksum()
        content.withUnsafeBytes { running.update($0) }
        return running.value.hexadecimal
    }
}

extension FirmwareState {
    /// The same, refused when it is more than a point takes or names a file that is none of firmware state's.
    func checked() throws -> FirmwareState {
        guard files.count <= Self.mostFiles, files.allSatisfy({ (0...Self.largestFile).contains($0.size) }),
            files.reduce(0, { $0 + $1.size }) <= Self.largestTotal,
            files.reduce(0, { $0 + $1.packed.reduce(0) { $0 + $1.count } }) <= Self.largestPacked
        else { throw FirmwareFiles.tooMuch }
        for file in files {
            let parts = file.name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            let isTPM =
                parts.count == 3 && parts[0] == "tpm" && ["tpm1.2", "tpm2"].contains(parts[1])
                && StoreNames.isSafeFileName(parts[2])
            guard file.name == "nvram" || isTPM else {
                throw ReplicationError(
                    .invalidArgument, "\(file.name.debugDescription.prefix(80)) is no file of firmware state",
                    hint: "run the same version of perilune at both hosts")
            }
        }
        guard Set(files.map(\.name)).count == files.count else { throw FirmwareFiles.tooMuch }
        return self
    }
}
