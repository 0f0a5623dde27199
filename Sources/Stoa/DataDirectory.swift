// Where one installation keeps what is its own: the embedded cluster, its keys, what the demo city told about itself.
// Everything else (templates, migrations, catalogues) belongs to the checkout and is only read.
import Foundation

/// `$STOA_DATA`: a directory of the user who starts Stoa.
struct DataDirectory: Sendable, Hashable {
    /// Absolute, without symbolic links, so that two ways to write the same place are one place.
    let path: String

    /// Opens the directory, and makes it if it is missing.
    /// - Throws: `SetupError` when it cannot be made or belongs to somebody else.
    init(creating path: String) throws {
        let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
        var isNew = false
        if !FileManager.default.fileExists(atPath: absolute) {
            do {
                try FileManager.default.createDirectory(atPath: absolute, withIntermediateDirectories: true)
            } catch {
                throw SetupError("The data directory \(absolute) cannot be made (\(error.localizedDescription)). Set STOA_DATA to a directory of yours.")
            }
            isNew = true
        }
        try self.init(existing: absolute)
        // Root's cluster runs as another user, who must be able to walk through; nobody may list what is here.
        if isNew { try setMode(geteuid() == 0 ? 0o711 : 0o700, of: self.path) }
    }

    /// Opens the directory that an earlier start made.
    /// - Throws: `SetupError` when there is none or it belongs to somebody else.
    init(existing path: String) throws {
        let absolute = URL(fileURLWithPath: path).resolvingSymlinksInPath().standardizedFileURL.path
        guard let entry = DirectoryEntry(absolute), entry.isDirectory else {
            throw SetupError("There is no data directory \(absolute) yet. `stoa demo` or `stoa serve` makes it; STOA_DATA names another place.")
        }
        guard entry.owner == geteuid() else {
            throw SetupError(
                "The data directory \(absolute) belongs to \(userName(of: entry.owner)), and only that user can open its database. "
                    + "Start Stoa as \(userName(of: entry.owner)), or set STOA_DATA to another place.")
        }
        self.path = absolute
    }

    /// Files of mode 0600: the key-encryption key, the look-up key, the signing key of the log, the demo clients' keys.
    var keys: String { path + "/keys" }
    /// What the demo city tells programs about itself, passwords included.
    var demoFile: String { path + "/demo.json" }
    /// The embedded cluster, unless the user it runs as cannot come here.
    var cluster: String { path + "/postgres" }
    /// Names the cluster's directory when it had to go elsewhere.
    var clusterPlaceFile: String { path + "/cluster-place" }
    /// Held alone by whoever starts or stops the cluster.
    var clusterLock: String { path + "/cluster.lock" }
    /// Held together by everybody who uses the cluster; the last one stops it.
    var clusterUsersLock: String { path + "/cluster-users.lock" }
}

/// Something that whoever started Stoa can put right. Its words say what is wrong and what to do.
struct SetupError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// What a path leads to, without following a symbolic link at its end. Nil when there is nothing.
struct DirectoryEntry {
    let isDirectory: Bool
    let owner: uid_t

    init?(_ path: String) {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
            let owner = attributes[.ownerAccountID] as? NSNumber
        else { return nil }
        isDirectory = attributes[.type] as? FileAttributeType == .typeDirectory
        self.owner = owner.uint32Value
    }
}

/// The name of a user of this machine, or the number when it has none.
func userName(of uid: uid_t) -> String {
    guard let entry = getpwuid(uid), let name = entry.pointee.pw_name else { return "user \(uid)" }
    return String(cString: name)
}

func setMode(_ mode: mode_t, of path: String) throws {
    guard chmod(path, mode) == 0 else { throw SetupError("The mode of \(path) cannot be set: \(lastSystemError()).") }
}

/// What the operating system said about the call that just failed.
func lastSystemError() -> String { String(cString: strerror(errno)) }

/// Writes a file that only its owner can read, whole or not at all: a reader never sees half of it, a crash leaves the old one.
/// - Parameter owner: whom it belongs to; this process's user unless given.
func writePrivateFile(_ bytes: [UInt8], to path: String, owner: (uid: uid_t, gid: gid_t)? = nil) throws {
    func failed() -> SetupError { SetupError("\(path) cannot be written: \(lastSystemError()).") }
    let temporary = "\(path).\(getpid()).new"
    unlink(temporary)
    // O_EXCL: the directory may be another user's, who could have left a link here that leads elsewhere.
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failed() }
    defer { close(descriptor) }
    var offset = 0
    while offset < bytes.count {
        let written = bytes[offset...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard written > 0 else { throw failed() }
        offset += written
    }
    if let owner, fchown(descriptor, owner.uid, owner.gid) != 0 { throw failed() }
    guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw failed() }
}
