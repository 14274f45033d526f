import type { CSSProperties, ReactElement, ReactNode } from "react";

export interface Problem {
  /** Stable: that of the response, `unreachable` (tried again), `failed` or `cancelled`. */
  code: string;
  message: string;
}

export interface ServiceOptions {
  /** Root of the service; by default the provider's, else the page's origin. */
  url?: string;
  token?: string;
}

export interface StatusOptions<Data> extends ServiceOptions {
  /** False: nothing is requested. */
  enabled?: boolean;
  /** Called once each time that it completes, also when it had completed before. */
  onComplete?: (data: Data) => void;
  /** Called once each time that it fails, is cancelled, or cannot be shown. */
  onError?: (problem: Problem, data?: Data) => void;
}

export interface StatusState<Data> {
  data: Data | undefined;
  /** Why the status is not known; the job's own failure is in `data`. */
  error: Problem | null;
  isLoading: boolean;
  isComplete: boolean;
  isError: boolean;
  refetch: () => void;
}

export type JobState = "waiting" | "active" | "completed" | "failed" | "cancelled";

/** GET /api/admin/media/jobs */
export interface Media {
  mediaId: string;
  status: "UPLOADED" | "PROCESSING" | "READY" | "FAILED";
  fileName: string | null;
  jobId: string | null;
  jobState: JobState | null;
  progress: number;
  manifestUrl: string | null;
  thumbnails: string[];
}

export interface VideoStep {
  status: string;
  progress_percentage: number;
  attempts: number;
  started_at: string | null;
  completed_at: string | null;
  error: string | null;
}

/** GET /api/video-processing/status/{queueId} */
export interface VideoItem {
  queue_id: string;
  attachment_id: string;
  status: "pending" | "processing" | "completed" | "failed" | "cancelled";
  progress_percentage: number;
  current_step: string | null;
  steps: Record<string, VideoStep>;
  error_message: string | null;
  created_at: string;
  updated_at: string;
  completed_at: string | null;
}

/** GET /api/jobs/{id}/status */
export interface JobStatus {
  id: string;
  state: JobState;
  progress: number;
  result: ({ url: string | null } & Record<string, unknown>) | null;
  error: string | null;
  createdAt: string;
  processedAt: string | null;
  completedAt: string | null;
}

/** GET /api/v1/studio/processing-jobs */
export interface StudioJob {
  id: string;
  jobId: string;
  queueName: string;
  status: JobState;
  progress: number;
  type: "film" | "episode";
  resourceId: string;
  resourceName: string | null;
  fileName: string | null;
  canCancel: boolean;
  cancelledAt: string | null;
  failedReason: string | null;
  createdAt: string;
  updatedAt: string;
  completedAt: string | null;
}

export function KinologProvider(props: ServiceOptions & { children?: ReactNode }): ReactElement;

export function useMediaJobStatus(
  mediaId: string | null | undefined,
  options?: StatusOptions<Media>,
): StatusState<Media> & Pick<Media, "jobState" | "progress" | "manifestUrl" | "thumbnails"> & { status: Media["status"] | undefined };

export function useVideoProcessingStatus(
  queueId: string | null | undefined,
  options?: StatusOptions<VideoItem>,
): StatusState<VideoItem> & { status: VideoItem["status"] | undefined; progress: number; currentStep: string | null; steps: Record<string, VideoStep> };

export function useJobStatus(
  jobId: string | null | undefined,
  options?: StatusOptions<JobStatus>,
): StatusState<JobStatus> & { state: JobState | undefined; progress: number; result: JobStatus["result"] };

export function useProcessingJobs(options?: ServiceOptions & { enabled?: boolean; status?: string; type?: "film" | "episode"; limit?: number }): StatusState<unknown> & {
  jobs: StudioJob[];
  statistics: Record<string, number>;
  nextCursor: string | null;
  cancel: (id: string) => Promise<unknown>;
  retry: (id: string) => Promise<unknown>;
  remove: (id: string) => Promise<unknown>;
  clear: (status: string) => Promise<unknown>;
};

interface ProgressProps<Data, State> extends StatusOptions<Data> {
  className?: string;
  /** What is shown below the bar, or a function that shows everything. */
  children?: ReactNode | ((state: State) => ReactNode);
}

export function MediaProcessingStatus(props: { mediaId: string } & ProgressProps<Media, ReturnType<typeof useMediaJobStatus>>): ReactElement;
export function VideoProcessingProgress(props: { queueId: string } & ProgressProps<VideoItem, ReturnType<typeof useVideoProcessingStatus>>): ReactElement;
export function JobProgress(props: { jobId: string } & ProgressProps<JobStatus, ReturnType<typeof useJobStatus>>): ReactElement;

interface ElementProps extends ServiceOptions {
  id?: string;
  className?: string;
  style?: CSSProperties;
  onComplete?: (detail: any) => void;
  onError?: (problem: Problem) => void;
  onChange?: (detail: any) => void;
}

export function KinologStatus(props: ElementProps & { job: string }): ReactElement;
export function KinologJobs(props: ElementProps & { limit?: number; status?: string; pipeline?: string; asset?: string }): ReactElement;
export function KinologPlayer(
  props: ElementProps & { asset?: string; start?: number; autoplay?: boolean; muted?: boolean; playback?: object; onReady?: (playback: any) => void },
): ReactElement;
