import Foundation
import SiteModel

/// An image of any format behind a read-only `qemu-nbd` on a socket that only we can reach.
///
/// The server is not persistent: it ends with its last connection, so none is left behind by an agent that is killed.
final class QEMUExport: Sendable {
    let socket: String
    private let folder: String
    private let process: HelperProcess

    private let image: DiskImage
    private let bitmap: String?

    /// Starts the server; `connect` waits for it.
    init(_ image: DiskImage, bitmap: String? = nil) throws {
        guard FileManager.default.fileExists(atPath: image.path) else {
            throw ReplicationError(
                .notFound, "there is no image \(image.path)",
                hint: "check that the file system that holds it is mounted")
        }
        guard ["qcow2", "raw"].contains(image.format), image.path.hasPrefix("/") else {
            throw ReplicationError(
                .invalidArgument, "\(image.path) (\(image.format)) is no image that can be read",
                hint: "give an absolute path, and 'qcow2' or 'raw' as the format")
        }
        self.image = image
        self.bitmap = bitmap
        folder = try Self.privateFolder()
        socket = folder + "/nbd"
        var arguments = [
            "qemu-nbd", "--read-only", "--shared=\(ReadShape.connections + 2)", "--format=\(image.format)",
            "--socket=\(socket)",
        ]
        if let bitmap { arguments.append("--bitmap=\(bitmap)") }
        do {
            process = try HelperProcess(arguments + ["--", image.path], outputPath: folder + "/output")
        } catch {
            try? FileManager.default.removeItem(atPath: folder)
            throw error
        }
    }

    /// Ends the server and removes its folder.
    ///
    /// Repeating it does nothing.
    func end() {
        process.end()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Connects to the server as soon as it takes connections; the source ends the server with itself.
    ///
    /// Throws `noUsableBitmap` when the image has no usable bitmap of that name, `busy` when something writes the
    /// image.
    func connect(_ interrupt: Interrupt) throws -> NBDSource {
        let limit = ContinuousClock.now + .seconds(30)
        do {
            while true {
                do {
                    return try NBDSource(socket: socket, export: "", interrupt: interrupt, server: self)
                } catch let error as ReplicationError where error.code == .nbd {
                    // The server listens before it opens the image, and when it cannot, ends with the reason.
                    let isEarly = [ENOENT, ECONNREFUSED].contains { error.context["errno"] == String($0) }
                    try awaitEnd(seconds: isEarly ? 0.003 : 2, interrupt)
                    guard isEarly, ContinuousClock.now < limit else { throw error }
                }
            }
        } catch {
            end()
            throw error
        }
    }

    /// Waits a little; throws the reason when the server has ended.
    private func awaitEnd(seconds: Double, _ interrupt: Interrupt) throws {
        let limit = ContinuousClock.now + .seconds(seconds)
        repeat {
            try interrupt.check()
            if process.hasEnded { throw failure() }
            var entry = pollfd(fd: interrupt.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, 3)
        } while ContinuousClock.now < limit
    }

    /// What qemu-nbd said in words, as a code.
    private func failure() -> ReplicationError {
        let output = ((try? String(contentsOfFile: folder + "/output", encoding: .utf8)) ?? "")
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let text = output.lowercased()
        if let bitmap, text.contains("bitmap") { return .noBitmap(bitmap, output) }
        if text.contains("lock") { return .imageInUse(image.path) }
        return ReplicationError(
            .toolFailed, "qemu-nbd cannot open \(image.path): \(output)",
            hint: "check the image with `qemu-img check` and that every file of its chain is there",
            context: ["path": image.path])
    }

    private static func privateFolder() throws -> String {
        let base = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        let path = "\(base)/perilune-nbd-\(UUID().uuidString.lowercased())"
        guard mkdir(path, 0o700) == 0 else {
            throw ReplicationError.system("making a private folder", path: base, errno: errno)
        }
        return path
    }
}

/// Opens an image that no process writes: raw ones directly, all others through QEMU.
func openImage(_ image: DiskImage, bitmap: String? = nil, interrupt: Interrupt) throws -> any ExtentSource {
    if image.format == "raw" {
        if let bitmap { throw ReplicationError.noBitmap(bitmap, "a raw image keeps none") }
        return try FileSource(path: image.path, interrupt: interrupt)
    }
    return try QEMUExport(image, bitmap: bitmap).connect(interrupt)
}
