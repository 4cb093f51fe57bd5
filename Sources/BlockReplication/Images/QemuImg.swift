internal import Foundation
internal import Subprocess

/// One file of a chain of images.
package struct ImageLayer: Codable, Hashable, Sendable {
    /// Absolute path.
    package let path: String
    package let format: ImageFormat

    package init(path: String, format: ImageFormat) {
        self.path = path
        self.format = format
    }
}

/// Runs qemu-img: the judge of every image file, and the reader of chains that are not ours.
package enum QemuImg {
    /// The chain from an image down to its base, newest first; images in use are only looked at.
    package static func backingChain(of layer: ImageLayer) async throws -> [ImageLayer] {
        struct Info: Decodable {
            var filename: String
            var format: String
        }
        let text = try await run([
            "info", "-U", "--backing-chain", "--output=json", "-f", layer.format.rawValue, layer.path,
        ]).requireSuccess("reading the chain of an image", path: layer.path)
        do {
            return try JSONDecoder().decode([Info].self, from: Data(text.utf8)).map { info in
                guard let format = ImageFormat(rawValue: info.format) else {
                    throw ReplicationError(
                        .unsupported, "an image in the chain has the format \(info.format)",
                        hint: "only raw and qcow2 disks can be replicated: convert it with qemu-img convert",
                        context: ["path": info.filename])
                }
                // qemu-img resolves a name against the directory of the file that has it, which may itself be relative.
                return ImageLayer(path: info.filename, format: format)
            }
        } catch let error as DecodingError {
            throw ReplicationError(
                .toolFailed, "qemu-img info gave an answer that cannot be read",
                hint: "check that qemu-img is Debian's qemu-utils 7.2 or later", context: ["path": layer.path],
                cause: error)
        }
    }

    /// Checks an image's metadata; throws `.damaged` with qemu-img's own words if anything is wrong, leaks included.
    package static func check(_ layer: ImageLayer) async throws {
        // A raw file has no metadata, and qemu-img refuses to check it.
        guard layer.format == .qcow2 else { return }
        let outcome = try await run(["check", "-U", "-f", "qcow2", layer.path])
        guard outcome.exitCode != 0 else { return }
        throw ReplicationError(
            .damaged, "qemu-img check finds faults: \(outcome.text)",
            hint: "do not start from this image; take an older point, or make a new first copy",
            context: ["path": layer.path])
    }

    /// Whether two images read the same, each through its whole chain.
    package static func haveSameContent(_ a: ImageLayer, _ b: ImageLayer) async throws -> Bool {
        let outcome = try await run(
            ["compare", "-U", "-f", a.format.rawValue, "-F", b.format.rawValue, a.path, b.path])
        switch outcome.exitCode {
        case 0: return true
        case 1: return false
        default: throw outcome.failure("comparing two images", path: a.path)
        }
    }

    /// What a run of qemu-img came to.
    struct Outcome {
        let exitCode: Int32
        let output: String
        let errors: String

        var text: String {
            (errors + " " + output).split(whereSeparator: \.isNewline).joined(separator: "; ")
        }

        func requireSuccess(_ doing: String, path: String) throws -> String {
            guard exitCode == 0 else { throw failure(doing, path: path) }
            return output
        }

        func failure(_ doing: String, path: String) -> ReplicationError {
            ReplicationError(
                .toolFailed, "qemu-img failed while \(doing): \(text)",
                hint: "check that the file exists and is readable, and that qemu-utils is installed",
                context: ["path": path, "exit": String(exitCode)])
        }
    }

    /// Runs qemu-img with these arguments, with no shell between.
    static func run(_ arguments: [String]) async throws -> Outcome {
        do {
            // In a task that is never cancelled: swift-subprocess 1.0.2 ends the whole process over a descriptor of a program that
            // is given up at the wrong moment. What qemu-img is asked here takes moments.
            let result = try await Task {
                try await Subprocess.run(
                    .name("qemu-img"), arguments: Arguments(arguments), output: .string(limit: 1 << 22),
                    error: .string(limit: 1 << 16))
            }.value
            let code: Int32 =
                switch result.terminationStatus {
                case .exited(let code): code
                case .signaled(let signal): -signal
                }
            return Outcome(exitCode: code, output: result.standardOutput, errors: result.standardError)
        } catch {
            throw ReplicationError(
                .toolFailed, "qemu-img could not be run", hint: "install the package qemu-utils",
                context: ["arguments": arguments.joined(separator: " ")], cause: error)
        }
    }
}
