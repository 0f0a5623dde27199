// Refusals to sign, with the statuses of c2sp.org/tlog-witness. The one that tells a size is no problem document but that size alone.
import HTTPTypes
import Web

extension CosignRefusal {
    var problem: Problem {
        switch self {
        case .malformed:
            Problem(
                "malformed-checkpoint", status: .badRequest, title: "Malformed request to sign a head",
                detail: "Send an old size line, the consistency proof, an empty line and a checkpoint, as c2sp.org/tlog-witness says.")
        case .oldSizeTooLarge:
            Problem(
                "malformed-checkpoint", status: .badRequest, title: "Malformed request to sign a head",
                detail: "The old size is larger than that of the checkpoint.")
        case .unknownLog:
            Problem(
                "log-unknown", status: .notFound, title: "Unknown log",
                detail: "This witness does not sign for a log of that origin. Agree with its operator first.")
        case .notSigned:
            Problem(
                "checkpoint-not-signed", status: .forbidden, title: "The checkpoint is not signed by the log",
                detail: "No key that this witness knows for the log signed the checkpoint, or its signature does not fit.")
        case .inconsistent, .anotherSize:
            Problem(
                "checkpoint-inconsistent", status: .unprocessableContent, title: "The checkpoint does not follow from the last one",
                detail: "The consistency proof does not lead from the last head that this witness signed to this one. It is not signed.")
        }
    }
}
