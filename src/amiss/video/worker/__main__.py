"""The process that decodes; started by `amiss.video.worker` with the numbers of the shared file's descriptor and of
its own process."""

from amiss.video.worker._child import main

main()
