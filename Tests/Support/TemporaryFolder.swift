// Folders for what tests write to disk, gone when the run ends.
public import Foundation
import Synchronization

public enum TemporaryFolder {
    private static let all = Mutex<[URL]>([])

    private static let installExitHandler: Void = {
        atexit { TemporaryFolder.removeAll() }
    }()

    /// A new, empty folder that everybody may enter.
    public static func make() throws -> URL {
        installExitHandler
        let folder = URL(fileURLWithPath: "/tmp/stoa-folder-\(UUID().uuidString.prefix(13))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        all.withLock { $0.append(folder) }
        return folder
    }

    private static func removeAll() {
        for folder in all.withLock({ $0 }) { try? FileManager.default.removeItem(at: folder) }
    }
}
