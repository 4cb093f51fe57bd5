package import BlockReplication
import Foundation

/// Where the hook lies by which libvirt asks this host's records before it starts a VM, and whether it asks them.
package enum StartHook {
    /// libvirt's configuration folder, unless it is told otherwise.
    package static let libvirtRoot = "/etc/libvirt"
    /// Runs before hooks without a number.
    package static let name = "00-perilune"
    private static let sizeLimit = 64 << 10

    package static func path(in libvirtRoot: String) -> String { "\(libvirtRoot)/hooks/qemu.d/\(name)" }

    /// The options by which the hook is told whose records it asks.
    ///
    /// They end with a space, so that a folder is never taken for one that begins with its name.
    static func options(store: String, runtime: String) -> String {
        "\(option("store", store))\(option("runtime", runtime))"
    }

    private static func option(_ name: String, _ value: String) -> String { "--\(name) \(quoted(value)) " }

    /// A word of a shell script that stands for exactly this text.
    static func quoted(_ word: String) -> String {
        "'" + word.replacingOccurrences(of: "'", with: "'\\''") + "'"
    }

    /// Looks at the hook as a host's agent: it must be there, and ask about the store that the agent keeps.
    package static func facts(libvirtRoot: String, store: String, runtime: String) -> StartHookFacts {
        let path = path(in: libvirtRoot)
        return StartHookFacts(path: path, runtime: runtime, problem: problem(path, store, runtime))
    }

    private static func problem(_ path: String, _ store: String, _ runtime: String) -> String? {
        guard access(path, F_OK) == 0 else {
            return errno == ENOENT ? "there is none" : "it cannot be looked at: \(String(cString: strerror(errno)))"
        }
        guard access(path, X_OK) == 0 else { return "it may not be run" }
        guard let file = FileHandle(forReadingAtPath: path) else {
            return "it cannot be read: \(String(cString: strerror(errno)))"
        }
        defer { try? file.close() }
        let script = String(decoding: (try? file.read(upToCount: sizeLimit)) ?? Data(), as: UTF8.self)
        guard script.contains(option("store", store)) else { return "it asks another store than \(store)" }
        guard script.contains(option("runtime", runtime)) else {
            return "it looks for confirmations elsewhere than in \(runtime), where the agent puts them"
        }
        return nil
    }
}
